"""Runs on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from lossbench.config import ConfigError
from lossbench.paths import Paths
from lossbench.running.executors.base import Deadline
from lossbench.running.executors.cluster.connection import connected, required
from lossbench.running.executors.cluster.driver import Driver
from lossbench.running.jobs import Job, Sink


@dataclass(frozen=True)
class Cluster:
    """Makes runs on the nodes of a Ray cluster, of which this machine is one. This process alone writes records.

    Raises:
        ConfigError: Ray is not installed, or the device is a certain card.
    """

    address: str
    """`auto`, or HOST:PORT."""
    device: str
    scratch: Path | None = None
    """Where nodes keep models and caches: a folder of each node, or one that they share."""
    most: int | None = None
    """Of runs at a time."""

    def __post_init__(self) -> None:
        """Check what can be checked without the cluster."""
        required()
        if self.device not in {"cpu", "cuda"}:
            msg = f"--device {self.device} with --cluster: cpu or cuda is wanted; Ray chooses the card"
            raise ConfigError(msg)

    @property
    def description(self) -> str:
        """Where."""
        return f"on the Ray cluster {self.address}"

    def make(self, planned: Sequence[Job], paths: Paths, events: Sink, deadline: Deadline) -> None:
        """Make all runs; see `Executor`.

        Raises:
            ConfigError: no cluster answers, no node can make these runs, or another command makes runs in this folder.
            WorkerError: the worker of a run has died again and again.
            LossbenchError: a run fails.
        """
        scratch = None if self.scratch is None else self.scratch.absolute()
        there = replace(paths, data=paths.data.absolute(), out=paths.out.absolute(), scratch=scratch)
        with _sole_driver(paths.out), connected(self.address) as (ray, let_signals_through):
            Driver(ray, planned, there, events, deadline, self.most).run(let_signals_through)


@contextmanager
def _sole_driver(out: Path) -> Iterator[None]:
    """Hold the folder of results while the block runs.

    Raises:
        ConfigError: another process holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "cluster.lock"
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        msg = f"another `lossbench run --cluster` makes runs in {out}; wait for its end, or use another --out"
        raise ConfigError(msg) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
