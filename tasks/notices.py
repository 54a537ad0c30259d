"""What a user should know though the program goes on: one line on standard error, from any process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = logging.getLogger("lossbench")
"""Python prints its warnings on standard error, unless the program that uses Lossbench says otherwise."""


def notice(line: str) -> None:
    """Say one line."""
    LOGGER.warning("lossbench: %s", line)


@contextmanager
def each_line_once() -> Iterator[None]:
    """In this block each line is said once, however often the data that it is about are read."""
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        line = record.getMessage()
        new = line not in said
        said.add(line)
        return new

    LOGGER.addFilter(is_new)
    try:
        yield
    finally:
        LOGGER.removeFilter(is_new)
