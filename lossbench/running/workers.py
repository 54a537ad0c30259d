"""Worker processes: forked from one that has made the heavy imports, and kept on one task each where that is possible."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple, TypeVar

from lossbench.running.interrupts import no_interrupts_in_children
from tasks.kinds import kind_named

T = TypeVar("T")
R = TypeVar("R")
ALWAYS_NEEDED = ("lossbench.running.loop", "sklearn.cluster", "cv2")
"""Imported before workers are forked: torch with the first, which several strategies and the rendering of scenes need too."""
LISTEN_SECONDS = 0.2


class Group(NamedTuple):
    """Runs that share something: a task that is built once, and under one seed the models of the first round."""

    task: str
    seed: int


class Schedule:
    """Which run a worker makes next, so that workers seldom build a task twice or wait for each other.

    A worker stays with its group. Then it takes the first group that nobody works on, of its own task or of one that
    nobody works on rather than of another's; when there is none, it joins the group with the fewest workers.

    Args:
        groups: of all runs, in their order.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self._waiting: dict[Group, list[int]] = {}
        for number, group in enumerate(groups):
            self._waiting.setdefault(group, []).append(number)
        self._places: dict[int, Group] = {}

    def next(self, worker: int) -> int | None:
        """The number of the worker's next run; None when all are taken. The run before it has ended."""
        last = self._places.pop(worker, None)
        busy = list(self._places.values())
        busy_tasks = [group.task for group in busy]

        def cost(group: Group) -> tuple[bool, int, int]:
            own_task = last is not None and group.task == last.task
            return group != last, busy.count(group), 0 if own_task else busy_tasks.count(group.task)

        if not self._waiting:
            return None
        chosen = min(self._waiting, key=cost)
        self._places[worker] = chosen
        number = self._waiting[chosen].pop(0)
        if not self._waiting[chosen]:
            del self._waiting[chosen]
        return number


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


def spread(
    work: Callable[[int, T], R],
    items: Sequence[T],
    groups: Sequence[Group],
    pools: Sequence[ProcessPoolExecutor],
    listen: Callable[[], None],
) -> list[R]:
    """What `work` returns for the number of each item and the item, in order; the first failure ends the rest.

    Args:
        work: is called in a worker.
        items: one for each call.
        groups: of the items, as `Schedule` uses them.
        pools: one process each.
        listen: is called every fifth of a second, and once more after each end.
    """
    schedule, results = Schedule(groups), dict[int, R]()
    running: dict[Future[R], tuple[int, int]] = {}

    def give(worker: int) -> None:
        number = schedule.next(worker)
        if number is not None:
            running[pools[worker].submit(work, number, items[number])] = worker, number

    with ExitStack() as stack:
        for pool in pools:
            stack.enter_context(pool)
        try:
            with no_interrupts_in_children():
                for worker in range(len(pools)):
                    give(worker)
            while running:
                ended, _ = wait(running, LISTEN_SECONDS, FIRST_COMPLETED)
                listen()
                for future in ended:
                    worker, number = running.pop(future)
                    results[number] = future.result()
                    give(worker)
        except BaseException:
            for pool in pools:
                pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()  # a run that is cut off goes on from its record
            raise
    return [results[number] for number in range(len(items))]


def end_with_parent() -> None:
    """End this worker when the process that started it is gone: nobody would read what it still does."""
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
