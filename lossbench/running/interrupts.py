"""Ctrl-C reaches every process of a terminal; workers are ended by the process that started them instead."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_interrupts_in_children() -> Iterator[None]:
    """Processes that are started in this block never see Ctrl-C. This process sees it when the block ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
