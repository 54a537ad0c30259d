"""The record of one run while it is made: written after every round, by one process."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import Timeout

from leaderboard.schema.records import Record, read_record, write_record
from lossbench.config import ConfigError
from lossbench.locks import locked
from lossbench.running.deaths import no_exit
from lossbench.running.executors.base import Deadline
from lossbench.running.jobs import Event, Job, Sink
from tasks.outside.errors import blaming_outside


class Recording:
    """What a run has recorded. Who keeps rounds holds the lock of `path`.

    Args:
        number: of the run in its sweep.
        job: the run.
        out: the folder of results.
        events: are told of every round.
    """

    def __init__(self, number: int, job: Job, out: Path, events: Sink) -> None:
        self.path = job.path(out)
        """Of the record."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.record: Record | None = None
        """Of the rounds that are done; None if there are none."""
        self._number, self._job, self._events = number, job, events

    @property
    def complete(self) -> bool:
        """Whether all rounds are done."""
        return self.record is not None and self.record.complete

    @contextmanager
    def held(self, deadline: Deadline) -> Iterator[bool]:
        """Hold the lock of the record while the block runs; another process that makes the same run is waited for.

        Args:
            deadline: until which it is waited for.

        Yields:
            Whether the lock is held.
        """
        seconds = deadline.seconds_left
        with ExitStack() as stack:
            held = True
            try:
                stack.enter_context(locked(self.path, -1 if seconds == math.inf else max(seconds, 0)))
            except Timeout:
                held = False
            yield held

    def read(self) -> None:
        """Take up what an earlier start has recorded.

        Raises:
            ConfigError: it was begun under other numbers, with other code or with other hyper-parameters.
            RecordError: the file is damaged.
        """
        if self.path.exists():
            with no_exit(self._job.title), blaming_outside():
                self.record = read_record(self.path)
                _check_same_run(self.record, self._job, self.path)

    def report(self, text: str) -> None:
        """Tell what the run prepares."""
        self._tell(len(self.record.rounds) if self.record else 0, text)

    def keep(self, record: Record) -> None:
        """Write the record after a further round."""
        write_record(record, self.path)
        self.record = record
        self._tell(len(record.rounds), "running")

    def end(self) -> None:
        """Tell that the run is done, if it is."""
        if self.complete:
            self._tell(self._job.rounds, "done")

    def _tell(self, rounds: int, state: str) -> None:
        self._events.put(Event(self._number, rounds, state))


def _check_same_run(record: Record, job: Job, path: Path) -> None:
    """Raise a ConfigError when a record was begun under other numbers, with other code or with other hyper-parameters than the job's."""
    if record.config != job.protocol.model_dump(mode="json"):
        msg = f"{path} was made under other numbers of {job.protocol.name}; move it away, or use another --out"
        raise ConfigError(msg)
    if record.fingerprints.get("strategy") != job.fingerprints.get("strategy"):
        msg = f"{path} was made with other code of {record.strategy}; move it away, or use another --out"
        raise ConfigError(msg)
    if record.strategy_config != job.strategy().model_dump(mode="json"):
        msg = f"{path} was made with other hyper-parameters of {record.strategy}; move it away, or use another --out"
        raise ConfigError(msg)
