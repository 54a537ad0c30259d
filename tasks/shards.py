"""Rows of numbers that take long to compute or do not fit memory: computed once, and kept in files of equally many rows."""

from __future__ import annotations

import hashlib
import math
import mmap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from filelock import Timeout
from numpy.typing import NDArray

from lossbench.files import part_of
from lossbench.locks import locked
from tasks.notices import notice
from tasks.progress import report

DIGEST_LETTERS = 32
LOCK_SECONDS = 0.5
"""How long a process waits for a file that another one makes before it looks for more to do."""

Rows = NDArray[Any]


class Question(NamedTuple):
    """What a learner is asked to give the rows of a store, in words that another process understands."""

    name: str
    """All that decides the rows, beside weights and images."""
    title: str
    method: str
    """Of the `Learner`."""
    words: tuple[Any, ...] = ()
    """Its further arguments."""
    ids: NDArray[np.int64] | None = None
    member: int = 0


@dataclass(frozen=True)
class Sharding:
    """The rows of a store, and how to compute them.

    Args:
        title: what the rows are, as the start of a report.
        count: of the rows.
        per_file: rows in each file but the last.
        compute: gives the rows from one place to before another, part by part.
        threads: how many files are computed at once; 1 where that uses all cores already.
        question: what leads another process to the same rows; None if building the task does.
    """

    title: str
    count: int
    per_file: int
    compute: Callable[[int, int], Iterator[Rows]]
    threads: int = 1
    question: Question | None = None

    def rows(self, number: int, stopped: Event) -> Rows:
        """Compute the rows of a file; `CancelledError` once the event is set."""
        parts = []
        for part in self.compute(number * self.per_file, min((number + 1) * self.per_file, self.count)):
            if stopped.is_set():
                raise CancelledError
            parts.append(part)
        return np.concatenate(parts)


@runtime_checkable
class Helpers(Protocol):
    """Other processes that make files of a store."""

    @property
    def trusts_files(self) -> bool:
        """Whether files are taken as they are, because somebody has just looked at them."""
        ...

    def make(self, folder: Path, sharding: Sharding, numbers: Sequence[int]) -> None:
        """Make the files of these numbers, as far as possible; the rest is made here."""
        ...


_helpers: ContextVar[Helpers | None] = ContextVar("helpers", default=None)


@contextmanager
def helped_by(helpers: Helpers) -> Iterator[None]:
    """Within the block, what is missing in a store is made by others first."""
    token = _helpers.set(helpers)
    try:
        yield
    finally:
        _helpers.reset(token)


def make_file(folder: Path, sharding: Sharding, number: int) -> None:
    """Make a file of a store, unless it is there or another process makes it."""
    _computed(folder, number, sharding, Event(), wait=False)


def load_shards(folder: Path, sharding: Sharding) -> tuple[Rows, ...]:
    """The files of the store in a folder, memory-mapped; what is missing there is computed, by helpers where there are any.

    A file's name holds the SHA-256 of its content: a file that is cut off or changed is computed again. Processes that
    need the same store share the work, file by file. A process that is killed loses the work on one file.

    Args:
        folder: of this store alone; its name must change with whatever changes the rows.
        sharding: the rows.

    Raises:
        OSError: a file cannot be written, for instance because the disk is full; nothing half-written stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = math.ceil(sharding.count / sharding.per_file)
    shards: dict[int, Rows] = {}
    if helpers := _helpers.get():
        there = {path.name[:5] for path in folder.glob("*.npy")}
        absent = [number for number in range(count) if f"{number:05}" not in there]
        if absent:
            helpers.make(folder, sharding, absent)
    trusted = helpers is not None and helpers.trusts_files
    begun, computed, stopped = time.monotonic(), 0, Event()
    with ThreadPoolExecutor(sharding.threads) as pool:
        try:
            while missing := [number for number in range(count) if number not in shards]:
                obtain = partial(_obtained, folder, sharding, stopped=stopped, last=missing[-1], trusted=trusted)
                futures = {pool.submit(copy_context().run, obtain, number): number for number in missing}
                for future in as_completed(futures):
                    with suppress(CancelledError):  # another file's fault has stopped it, and is raised here
                        shard, new = future.result()
                        if shard is None:
                            continue
                        shards[futures[future]] = shard
                        computed += len(shard) if new else 0
                        speed = computed / max(time.monotonic() - begun, 1e-9)
                        report(f"{sharding.title}: {100 * len(shards) // count} %, {speed:.0f} images/s")
        finally:
            stopped.set()  # Ctrl-C ends the threads, too
    return tuple(shards[number] for number in range(count))


def _obtained(
    folder: Path, sharding: Sharding, number: int, *, stopped: Event, last: int, trusted: bool
) -> tuple[Rows | None, bool]:
    """A file's rows, and whether they were computed now; None where another process is computing them.

    A fault stops all threads.
    """
    finished = False
    try:
        if stopped.is_set():
            raise CancelledError
        shard, new = _intact(folder, number, sharding.title, trusted=trusted), False
        if shard is None and _computed(folder, number, sharding, stopped, wait=number == last):
            shard, new = _intact(folder, number, sharding.title), True
        finished = True
        return shard, new
    finally:
        if not finished:
            stopped.set()


def taken(shards: Sequence[Rows], places: NDArray[np.int64]) -> Rows:
    """Copies of some rows of a store."""
    per_file, *shape = shards[0].shape
    rows = np.empty((len(places), *shape), shards[0].dtype)
    for row, place in enumerate(places.tolist()):  # row by row: a batch has few rows in each of many files
        rows[row] = shards[place // per_file][place % per_file]
    return rows


def release_shards(shards: Iterable[Rows]) -> None:
    """Stop counting what was read of these files as memory of this process. They stay readable, and the system may keep them."""
    for shard in shards:
        if (
            isinstance(shard.base, np.memmap)
            and isinstance(shard.base.base, mmap.mmap)
            and hasattr(mmap, "MADV_DONTNEED")
        ):
            shard.base.base.madvise(mmap.MADV_DONTNEED)


def _intact(folder: Path, number: int, title: str, *, trusted: bool = False) -> Rows | None:
    """A file's rows, memory-mapped; None where there is no such file, or its content is not what its name says."""
    for path in folder.glob(f"{number:05}-*.npy"):
        if trusted or _digest(path) == path.stem.partition("-")[2]:
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))  # a memmap itself is slow to index
        notice(f"{path} of the {title} is damaged; it is computed again")
        path.unlink(missing_ok=True)
    return None


def _computed(folder: Path, number: int, sharding: Sharding, stopped: Event, *, wait: bool) -> bool:
    """Compute the rows of a file and write them; False where another process does, after waiting for it a little."""
    try:
        with locked(folder / f"{number:05}", LOCK_SECONDS if wait else 0.0):
            if not any(folder.glob(f"{number:05}-*.npy")):
                _write(folder, number, sharding.rows(number, stopped))
            return True
    except Timeout:
        return False


def _write(folder: Path, number: int, rows: Rows) -> None:
    beside, rows = part_of(folder / f"{number:05}"), np.ascontiguousarray(rows)
    try:
        with beside.open("wb") as file:  # not by np.save, whose error on a full disk does not say that it is full
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(rows))
            file.write(rows.data)
        beside.replace(folder / f"{number:05}-{_digest(beside)}.npy")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(beside)) from None  # a full disk names no file
    finally:
        beside.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_LETTERS]
