"""Hands out the runs of a sweep to the nodes of a cluster, and writes their records."""

from __future__ import annotations

import errno
import pickle
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from filelock import Timeout

from leaderboard.schema.records import Record
from lossbench.config import ConfigError
from lossbench.locks import locked
from lossbench.paths import Paths
from lossbench.running.deaths import RunError, WorkerError
from lossbench.running.executors.base import Deadline
from lossbench.running.executors.cluster.nodes import Node, Nodes, demands
from lossbench.running.executors.cluster.remote import Message, Said, rounds
from lossbench.running.executors.outside import OutsideCode
from lossbench.running.executors.schedule import Group, Schedule
from lossbench.running.jobs import Job, Sink
from lossbench.running.recording import Recording
from lossbench.running.sweep import names_own_files
from tasks.notices import notice

LISTEN_SECONDS = 0.2
MOST_LOSSES = 3
"""So often may the worker of a run be lost in one round; the next time ends the sweep."""
SECONDS_WITHOUT_NODES = 60.0
"""How long the sweep waits for a node when the last one has gone."""
FAULTS_OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE)


@dataclass
class Going:
    """A run that is being made."""

    number: int
    node: Node
    place: int
    recording: Recording
    lock: ExitStack
    begun: bool = field(default=False)

    @property
    def worker(self) -> tuple[str, int]:
        """What makes it, as `Schedule` knows it."""
        return self.node.id, self.place


class Driver:
    """Makes the runs of a sweep on a cluster.

    Args:
        ray: connected.
        planned: the runs.
        paths: of data and results; absolute.
        events: are told of every round.
        deadline: after which no round begins.
        most: runs at a time; by default as many as fit.
    """

    def __init__(
        self, ray: Any, planned: Sequence[Job], paths: Paths, events: Sink, deadline: Deadline, most: int | None
    ) -> None:
        self._ray, self._planned, self._paths, self._events = ray, planned, paths, events
        self._deadline, self._most = deadline, most or len(planned)
        self._nodes = Nodes(ray)
        self._schedule = Schedule([Group(job.protocol.name, job.seed) for job in planned])
        self._wanted = [demands(job.protocol.needs, paths.device) for job in planned]
        self._rounds = ray.remote(num_returns="streaming")(rounds)
        self._outside = ray.put(OutsideCode.loaded())
        self._going: dict[Any, Going] = {}
        self._losses: dict[int, int] = {}
        """Workers lost since the last round, by the number of the run."""
        self._last_seen = time.monotonic()
        self._used_nodes = False
        self._waits = False
        """Whether the user was told that a node is waited for."""

    def run(self, between: Callable[[], None]) -> None:
        """Make all runs.

        Args:
            between: is called every fifth of a second; what it raises ends the runs.

        Raises:
            LossbenchError: a run fails, or no node can make one.
        """
        try:
            while self._going or not (self._schedule.empty or self._deadline.passed):
                between()
                self._nodes.look()
                if self._deadline.passed:
                    self._drop_what_has_not_begun()
                else:
                    self._begin()
                    self._check_nodes()
                self._listen()
        finally:
            for going in self._going.values():
                going.lock.close()

    def _begin(self) -> None:
        """Begin runs where there is room."""
        for node in list(self._nodes.usable.values()):
            while len(self._going) < self._most:
                place = node.free_place()
                number = self._schedule.next((node.id, place), lambda each: node.fits(self._wanted[each]))  # noqa: B023 - is called here
                if number is None:
                    break
                self._begin_one(number, node, place)

    def _begin_one(self, number: int, node: Node, place: int) -> None:
        job = self._planned[number]
        recording, lock = Recording(number, job, self._paths.out, self._events), ExitStack()
        try:
            lock.enter_context(locked(recording.path, timeout=0))
        except Timeout:
            msg = f"{job.title}: another process makes this run in {self._paths.out}; wait for its end, or use another --out"
            raise ConfigError(msg) from None
        with ExitStack() as unless_it_begins:
            unless_it_begins.push(lock)
            recording.read()
            if recording.complete and not names_own_files(job):
                recording.end()
                return
            content = pickle.dumps(job)
            task = self._nodes.pinned(self._rounds, node, self._wanted[number])
            generator = task.remote(self._outside, content, self._paths, recording.record, self._deadline.seconds_left)
            node.taken[place] = self._wanted[number]
            self._going[generator] = Going(number, node, place, recording, lock)
            unless_it_begins.pop_all()

    def _listen(self) -> None:
        """Take in what runs have to say, for a moment."""
        if not self._going:
            time.sleep(LISTEN_SECONDS)
            return
        ready, _ = self._ray.wait(list(self._going), timeout=LISTEN_SECONDS, fetch_local=False)
        for generator in ready:
            try:
                message = self._ray.get(next(generator))
            except StopIteration:
                self._end(generator).recording.end()
            except self._ray.exceptions.RayTaskError as error:
                self._failed(self._end(generator), error)
            except self._ray.exceptions.TaskCancelledError:
                self._end(generator).recording.end()
            except self._ray.exceptions.RayError as error:
                self._lost(self._end(generator), error)
            else:
                self._heard(generator, message)

    def _heard(self, generator: Any, message: Message) -> None:
        going = self._going[generator]
        going.begun = True
        if isinstance(message, Record):
            going.recording.keep(message)
            self._losses.pop(going.number, None)
            if self._deadline.passed:
                self._ray.cancel(generator, force=True)  # it waited for its turn, and its own deadline is later
        elif isinstance(message, Said):
            notice(message.line)
        elif message:
            going.recording.report(message)

    def _end(self, generator: Any) -> Going:
        """Forget that a run is being made."""
        going = self._going.pop(generator)
        del going.node.taken[going.place]
        going.lock.close()
        return going

    def _failed(self, going: Going, error: Any) -> None:
        """A run has failed: on a full disk it goes on elsewhere, else this is the end of the sweep."""
        cause = error.cause
        if isinstance(cause, OSError) and (cause.errno in FAULTS_OF_A_DISK or "could not be written" in str(cause)):
            self._nodes.leave_out(
                going.node, f"its disk is full, or cannot be written ({' '.join(str(cause).split())})"
            )
            self._schedule.put_back(going.worker, going.number)
            return
        raise cause from error

    def _lost(self, going: Going, error: Exception) -> None:
        """The worker of a run has died, or its node: the run goes on elsewhere from its last round."""
        self._schedule.put_back(going.worker, going.number)
        exceptions, title, name = self._ray.exceptions, self._planned[going.number].title, going.node.name
        if isinstance(error, exceptions.NodeDiedError | exceptions.TaskUnschedulableError):
            how = f"node {name} is gone"
            self._nodes.forget(going.node)
        elif isinstance(error, exceptions.OutOfMemoryError):
            how = f"its worker was ended, as node {name} ran out of memory"
        else:
            how = f"its worker on node {name} has died ({type(error).__name__})"
        self._losses[going.number] = self._losses.get(going.number, 0) + going.begun
        if self._losses[going.number] > MOST_LOSSES:
            msg = f"{title}: {how}, for the {MOST_LOSSES + 1}th time in one round. Finished rounds are kept: run the command again to go on"
            raise WorkerError(msg) from error
        notice(f"{title}: {how}; the run goes on from its last round")

    def _drop_what_has_not_begun(self) -> None:
        for generator, going in self._going.items():
            if not going.begun:
                self._ray.cancel(generator)

    def _check_nodes(self) -> None:
        """End the sweep if nobody can make what is left of it.

        Raises:
            ConfigError: no node has what a run needs.
            RunError: all nodes have gone.
        """
        if self._going or self._nodes.asking or self._schedule.empty:
            self._last_seen = time.monotonic()
            self._used_nodes = self._used_nodes or bool(self._going)
            self._waits = False
            return
        if self._used_nodes and time.monotonic() - self._last_seen < SECONDS_WITHOUT_NODES:
            if not self._waits:
                notice(f"no node of the cluster can go on; another one is waited for, for {SECONDS_WITHOUT_NODES:g} s")
            self._waits = True
            return
        number = self._schedule.first
        wanted = ", ".join(f"{amount:g} {name}" for name, amount in self._wanted[number].items())
        there = "; ".join(
            f"{node.name} has " + ", ".join(f"{node.has.get(name, 0):g} {name}" for name in self._wanted[number])
            for node in self._nodes.usable.values()
        )
        msg = f"no node of the cluster can make {self._planned[number].title}, which needs {wanted}"
        if self._used_nodes:
            msg = f"{msg}, any more. Finished rounds are kept: run the command again to go on"
            raise RunError(msg)
        msg = f"{msg}; {there or 'there is none that can be used'}"
        raise ConfigError(msg)
