"""Ends what hangs, and what would fill the memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

MOST_SECONDS = 60
"""Far above what a case takes on a busy machine, and far below what a hang takes."""
MOST_MEMORY = 4 << 30
"""Bytes of data beyond what the process has. Reserved addresses do not count: the engine that draws charts reserves many."""


class HangError(BaseException):
    """Something took too long. Not an `Exception`, so that nothing takes it for a fault of its own."""


@contextmanager
def watched(seconds: float = MOST_SECONDS) -> Iterator[None]:
    """Raises HangError after so many seconds, and lets large allocations fail as on a small machine."""

    def stop(number: int, frame: object) -> NoReturn:
        msg = f"still at work after {seconds} s"
        raise HangError(msg)

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    handler = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + MOST_MEMORY, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        signal.signal(signal.SIGALRM, handler)
