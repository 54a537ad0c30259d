"""Entries: the runs of one strategy that may be compared, with their means over the seeds. Computed, never stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from leaderboard.schema.records import Machine, Record, Round
from leaderboard.scoring.statistics import BySeed, Interval, area_under_curve, interval

BASELINE, REFERENCE_METHOD = "random", "learning-loss"
"""The strategies that all others are compared with."""
FULL_POOL = "full-pool"
"""Named so in records: no strategy but a training on all images that may be labeled."""
RANKING_ACCURACY = "ranking_accuracy"
"""Key, in a round's metrics, of the share of pairs that lossnet orders right."""
OWN_RANKING_ACCURACY = "auxiliary_ranking_accuracy"
"""The same of the module that a strategy brings and picks by."""


class Key(NamedTuple):
    """What records must share to be compared."""

    protocol: str
    version: int
    track: str
    split: str

    @classmethod
    def of(cls, record: Record) -> Key:
        """The key of one record."""
        return cls(record.protocol, record.version, record.track, record.split)


class Hardware(NamedTuple):
    """A class of machines whose seconds are compared."""

    processor: str
    device: str
    threads: int

    @classmethod
    def of(cls, machine: Machine) -> Hardware:
        """The class of one machine."""
        return cls(machine.processor, machine.device, machine.threads)

    def __str__(self) -> str:
        return f"{self.processor}, {self.device}, {self.threads} thread{'s' if self.threads > 1 else ''}"


class Costs(NamedTuple):
    """Means of a round, in seconds, and the most memory that a run held; NaN where nothing was measured."""

    fit: float
    forward: float
    score: float
    pick: float
    peak_mebibytes: float

    @property
    def select(self) -> float:
        """Seconds from the trained model to the picked images."""
        return self.forward + self.score + self.pick


class Point(NamedTuple):
    """A strategy at one number of labels."""

    labeled: int
    score: Interval
    seeds: int
    ranking: Interval
    """Share of pairs of held-out images that lossnet orders right."""


@dataclass(frozen=True)
class Entry:
    """The runs of one strategy in a section."""

    strategy: str
    reference: bool
    records: tuple[Record, ...]
    """By seed."""

    @cached_property
    def areas(self) -> BySeed:
        """The mean score over the budget."""
        return self.by_seed(lambda record: area_under_curve([one.labeled for one in record.rounds], record.score))

    @cached_property
    def last(self) -> BySeed:
        """The score at the end of the budget."""
        return self.by_seed(lambda record: record.score[-1])

    def by_seed(self, number: Callable[[Record], float]) -> BySeed:
        """A number of each run."""
        return {record.seed: number(record) for record in self.records}

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """Means over the seeds, round by round."""
        return tuple(
            Point(
                labeled=rounds[0].labeled,
                score=interval([record.score[number] for record in self.records]),
                seeds=len(rounds),
                ranking=interval([ranking_accuracy(one) for one in rounds]),
            )
            for number, rounds in enumerate(zip(*(record.rounds for record in self.records), strict=True))
        )

    def costs(self, hardware: Hardware) -> Costs:
        """On one class of machines."""
        runs = [record for record in self.records if Hardware.of(record.machine) == hardware]
        rounds = [one for record in runs for one in record.rounds]
        selected = [one.seconds for one in rounds if one.picked]
        return Costs(
            fit=mean([one.seconds.fit for one in rounds]),
            forward=mean([each.forward for each in selected]),
            score=mean([each.score for each in selected]),
            pick=mean([each.pick for each in selected]),
            peak_mebibytes=max((one.peak_memory_mebibytes for one in rounds), default=math.nan),
        )

    def seconds_so_far(self, hardware: Hardware) -> list[float]:
        """Of training and selection until each score was known; the mean of the runs on one class of machines."""
        runs = [record for record in self.records if Hardware.of(record.machine) == hardware]
        spent, total = [], 0.0
        for rounds in zip(*(record.rounds for record in runs), strict=True):
            total += mean([one.seconds.fit for one in rounds])
            spent.append(total)
            total += mean([one.seconds.select for one in rounds])
        return spent


def ranking_accuracy(one: Round, *, own: bool = False) -> float:
    """Of lossnet in one round, or of the strategy's own module; NaN where it was not trained."""
    return one.metrics.get(OWN_RANKING_ACCURACY if own else RANKING_ACCURACY, math.nan)


def mean(values: Sequence[float]) -> float:
    """NaN of nothing."""
    return sum(values) / len(values) if values else math.nan
