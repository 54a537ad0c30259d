"""What makes the runs of a sweep, and until when."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

from lossbench.paths import Paths
from lossbench.running.jobs import Job, Sink


@dataclass(frozen=True)
class Deadline:
    """A moment after which no round begins. It holds for all processes of one machine."""

    moment: float = math.inf
    """Of `time.monotonic`."""

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The moment so many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def seconds_left(self) -> float:
        """Until the moment; negative when it has passed."""
        return self.moment - time.monotonic()

    @property
    def passed(self) -> bool:
        """Whether it has passed."""
        return self.seconds_left <= 0


NEVER = Deadline()


class Executor(Interface):
    """Makes runs."""

    @property
    def description(self) -> str:
        """How and where, in a few words."""
        ...

    def make(self, planned: Sequence[Job], paths: Paths, events: Sink, deadline: Deadline) -> None:
        """Make all runs, or what is missing of them, and write each record after every round.

        The first failure ends the rest. At the deadline every run ends after the round that it is in.

        Args:
            planned: the runs.
            paths: of data and results.
            events: are told of every round.
            deadline: after which no round begins.
        """
        ...
