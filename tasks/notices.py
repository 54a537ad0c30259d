"""What a user should know though the program goes on: one line on standard error, from any process."""

from __future__ import annotations

import logging

LOGGER = logging.getLogger("lossbench")
"""Python prints its warnings on standard error, unless the program that uses Lossbench says otherwise."""


def notice(line: str) -> None:
    """Say one line."""
    LOGGER.warning("lossbench: %s", line)
