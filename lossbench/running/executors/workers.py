"""Worker processes: forked from one that has made the heavy imports, and kept on one task each where that is possible."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from lossbench.running.deaths import WorkerError, advice, ending, memory_kills
from lossbench.running.executors.schedule import Group, Schedule
from tasks.kinds import kind_named
from tasks.notices import notice

T = TypeVar("T")
R = TypeVar("R")
ALWAYS_NEEDED = ("lossbench.running.loop", "sklearn.cluster", "cv2")
"""Imported before workers are forked: torch with the first, which several strategies and the rendering of scenes need too."""
LISTEN_SECONDS = 0.2
SECONDS_TO_END = 10.0
"""How long an idle worker may take to end, with its threads."""


@contextmanager
def no_interrupts_in_children() -> Iterator[None]:
    """Processes that are started in this block never see Ctrl-C. This process sees it when the block ends.

    Ctrl-C reaches every process of a terminal; workers are ended by the process that started them instead.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def warm_up(kinds: Sequence[str], device: str) -> None:
    """Begin with the heavy imports, in the process that workers will be forked from; it returns at once.

    Where the platform or the device forbids to fork, every worker imports for itself.

    Args:
        kinds: names of the kinds of task that will be run.
        device: on which.
    """
    if _forks(device):
        os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})
        folders = {type(kind_named(name)).__module__.rpartition(".")[0] for name in kinds}
        heavy = sorted(f"{folder}.task" for folder in folders if folder)  # a kind from a file has no folder
        multiprocessing.get_context("forkserver").set_forkserver_preload([*ALWAYS_NEEDED, *heavy])
        with no_interrupts_in_children():
            forkserver.ensure_running()


def worker_context(device: str) -> BaseContext:
    """How workers are started: forked without what this process holds, or as new processes."""
    return multiprocessing.get_context("forkserver" if _forks(device) else "spawn")


def _forks(device: str) -> bool:
    return sys.platform == "linux" and device == "cpu"  # frameworks of macOS and drivers of GPUs do not survive a fork


class Worker:
    """A process that makes one run after another. A new one takes its place when it dies.

    Args:
        start: gives a pool of one process, which has not started yet.
    """

    def __init__(self, start: Callable[[], ProcessPoolExecutor]) -> None:
        self._start = start
        self._pool: ProcessPoolExecutor | None = None
        self._process: BaseProcess | None = None
        self._kills = 0

    def submit(self, work: Callable[[int, T], R], number: int, item: T) -> Future[R]:
        """Let the process call `work(number, item)`."""
        if self._pool is not None:
            try:
                return self._pool.submit(work, number, item)
            except BrokenProcessPool:  # it died while it had nothing to do
                self.close()
        self._kills = memory_kills()
        self._pool = self._start()
        before = multiprocessing.active_children()
        future = self._pool.submit(work, number, item)
        self._process = next((each for each in multiprocessing.active_children() if each not in before), None)
        return future

    def buried(self) -> str:
        """How the process ended, which has died."""
        self.close()
        return ending(self._process.exitcode if self._process else None, memory_kills() - self._kills)

    def terminate(self) -> None:
        """Tell the process to end at once; a run that is cut off goes on from its record."""
        if self._process is not None:
            self._process.terminate()

    def close(self) -> None:
        """End the process. The next run starts another."""
        if self._pool is not None:
            kill = self.kill_later()
            self._pool.shutdown(
                cancel_futures=True
            )  # waits for the process; nobody else may wait, or exit codes get lost
            kill.cancel()
            self._pool = None

    def kill_later(self) -> threading.Timer:
        """Kill the process in ten seconds: code from outside may have left a thread, or ignore signals."""
        kill = threading.Timer(SECONDS_TO_END, self._process.kill if self._process is not None else lambda: None)
        kill.daemon = True
        kill.start()
        return kill


def spread(
    work: Callable[[int, T], R],
    items: Sequence[T],
    groups: Sequence[Group],
    workers: Sequence[Worker],
    listen: Callable[[], None],
    titles: Sequence[str],
) -> list[R]:
    """What `work` returns for the number of each item and the item, in order; the first failure ends the rest.

    An item whose worker dies is given to a new process once more, which is said.

    Args:
        work: is called in a worker.
        items: one for each call.
        groups: of the items, as `Schedule` uses them.
        workers: one process each.
        listen: is called every fifth of a second, and once more after each end.
        titles: of the items, for messages.

    Raises:
        WorkerError: a worker has died under the same item twice.
    """
    runs = _Runs(work, items, Schedule(groups), workers, titles)
    try:
        for worker in range(len(workers)):
            runs.begin_next(worker)
        while runs.going:
            ended, _ = wait(runs.going, LISTEN_SECONDS, FIRST_COMPLETED)
            listen()
            for future in ended:
                runs.end(future)
    except BaseException:
        for worker in workers:
            worker.terminate()
        raise
    finally:
        kills = [worker.kill_later() for worker in workers]  # of all at once; they are closed one after another
        for worker, kill in zip(workers, kills, strict=True):
            worker.close()
            kill.cancel()
    return [runs.results[number] for number in range(len(items))]


class _Runs(Generic[T, R]):
    """The runs that are going, and what those that have ended returned."""

    def __init__(
        self,
        work: Callable[[int, T], R],
        items: Sequence[T],
        schedule: Schedule,
        workers: Sequence[Worker],
        titles: Sequence[str],
    ) -> None:
        self._work, self._items, self._schedule, self._workers, self._titles = work, items, schedule, workers, titles
        self._repeated: set[int] = set()
        self.going: dict[Future[R], tuple[int, int]] = {}
        """Worker and number of each."""
        self.results: dict[int, R] = {}
        """By number."""

    def begin_next(self, worker: int) -> None:
        """Let a worker make its next run, if there is one."""
        number = self._schedule.next(worker)
        if number is not None:
            self._begin(worker, number)

    def _begin(self, worker: int, number: int) -> None:
        with no_interrupts_in_children():
            self.going[self._workers[worker].submit(self._work, number, self._items[number])] = worker, number

    def end(self, future: Future[R]) -> None:
        """Keep what a run returned, and begin the next; if its worker has died, begin it again, once.

        Raises:
            WorkerError: its worker has died for the second time.
        """
        worker, number = self.going.pop(future)
        try:
            self.results[number] = future.result()
        except BrokenProcessPool:
            title, how = self._titles[number], self._workers[worker].buried()
            if number in self._repeated:
                msg = f"{title}: its worker {how}, twice; {advice(how)}. Finished rounds are kept: run the command again to go on"
                raise WorkerError(msg) from None
            notice(f"{title}: its worker {how}; the run goes on in a new one")
            self._repeated.add(number)
            self._begin(worker, number)
        else:
            self.begin_next(worker)


def end_with_parent() -> None:
    """End this worker when the process that started it is gone: nobody would read what it still does."""
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
