"""Runs on this machine: in this process, or in one single-threaded worker per core."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from lossbench.paths import Paths
from lossbench.running.executors.base import Deadline
from lossbench.running.executors.outside import OutsideCode
from lossbench.running.executors.schedule import Group
from lossbench.running.executors.workers import Worker, end_with_parent, spread, warm_up, worker_context
from lossbench.running.jobs import Event, Job, Sink
from lossbench.running.sweep import prepare, run_job


@dataclass(frozen=True)
class Local:
    """Makes runs on this machine."""

    workers: int
    """How many at a time; one is made in this process."""

    @property
    def description(self) -> str:
        """How many at a time."""
        return f"{self.workers} at a time"

    def make(self, planned: Sequence[Job], paths: Paths, events: Sink, deadline: Deadline) -> None:
        """Make all runs; see `Executor`."""
        os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})
        if self.workers == 1:
            prepare()
            for number, job in enumerate(planned):
                run_job(number, job, paths, events, deadline)
        else:
            _in_workers(planned, paths, self.workers, events, deadline)


def _in_workers(planned: Sequence[Job], paths: Paths, workers: int, events: Sink, deadline: Deadline) -> None:
    warm_up(sorted({job.protocol.task.kind for job in planned}), paths.device)
    context, outside = worker_context(paths.device), OutsideCode.loaded()
    queues: list[SimpleQueue[Event]] = []

    def pool() -> ProcessPoolExecutor:
        queues.append(context.SimpleQueue())  # its own: a process that dies while it writes never gives back the lock
        return ProcessPoolExecutor(1, context, _start_worker, (queues[-1], outside))

    def listen() -> None:
        for queue in queues:
            while not queue.empty():
                events.put(queue.get())

    processes = [Worker(pool) for _ in range(workers)]
    groups = [Group(job.protocol.name, job.seed) for job in planned]
    work = partial(_run_in_worker, paths, deadline)
    spread(work, planned, groups, processes, listen, [job.title for job in planned])


_to_parent: list[Sink] = []
"""In a worker: where its events go."""


def _start_worker(events: Sink, outside: OutsideCode) -> None:
    """Prepare a worker."""
    end_with_parent()
    _to_parent.append(events)
    outside.load()
    prepare()


def _run_in_worker(paths: Paths, deadline: Deadline, number: int, job: Job) -> Path:
    return run_job(number, job, paths, _to_parent[0], deadline)
