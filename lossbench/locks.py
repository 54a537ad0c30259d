"""Locks between processes that write the same file. Every package may import this module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lossbench.files import part_of


@contextmanager
def locked(path: Path, timeout: float = -1.0) -> Iterator[None]:
    """Hold the lock of a file or folder while the block runs; another process waits.

    The lock is the file `NAME.lock` beside it. It is removed at the end of the block, whether the block fails or not; a process
    that waited for the removed file takes a new one.

    Args:
        path: of the file or folder, which need not exist.
        timeout: seconds to wait for another process; without limit where it is negative.

    Raises:
        Timeout: another process held the lock for longer.
    """
    lock = path.with_name(f"{path.name}.lock")
    with FileLock(lock, timeout):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def remove_abandoned(locks: Iterable[Path]) -> None:
    """Remove the lock files that no process holds, of processes that were killed, and what these had begun to write."""
    for lock in locks:
        with suppress(Timeout), FileLock(lock, timeout=0):
            part_of(lock.with_suffix("")).unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
