"""Entries: the comparable runs of one strategy, and their means over seeds. Computed from records, never stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from leaderboard.schema.records import Machine, Record, Round
from leaderboard.scoring.statistics import BySeed, Interval, area_under_curve, areas_of_thirds, interval

BASELINE, REFERENCE_METHOD = "random", "learning-loss"
"""The two strategies that every strategy is compared with: random picks, and learning loss (Yoo & Kweon 2019)."""
FEWEST_SEEDS = 5
"""The fewest paired seeds by which a strategy is named as an answer. Sections rank strategies with fewer, too, and say that they are too few."""
FULL_POOL = "full-pool"
"""The name, in records, of a training on the whole pool. It is not a strategy."""
RANKING_ACCURACY = "ranking_accuracy"
"""Key in a round's metrics: the share of image pairs that lossnet puts in the order of their true losses."""
OWN_RANKING_ACCURACY = "auxiliary_ranking_accuracy"
"""Key in a round's metrics: the same for a loss predictor that the strategy trains itself and picks with."""


class Key(NamedTuple):
    """The values that comparable records have in common."""

    protocol: str
    version: int
    track: str
    split: str

    @classmethod
    def of(cls, record: Record) -> Key:
        """The key of one record."""
        return cls(record.protocol, record.version, record.track, record.split)


class Hardware(NamedTuple):
    """A class of machines with comparable seconds."""

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
    """Mean seconds per round by phase, and the largest peak memory of a run; NaN if nothing was measured."""

    fit: float
    forward: float
    score: float
    pick: float
    peak_mebibytes: float

    @property
    def select(self) -> float:
        """Seconds of selection per round: from the trained model to the picked images."""
        return self.forward + self.score + self.pick


class Point(NamedTuple):
    """A point of a strategy's learning curve."""

    labeled: int
    """The number of labeled images."""
    score: Interval
    """The ranking metric, over the seeds."""
    seeds: int
    """The number of runs."""
    ranking: Interval
    """Ranking accuracy of lossnet on held-out images, over the seeds."""


@dataclass(frozen=True)
class Entry:
    """The runs of one strategy in a section."""

    strategy: str
    reference: bool
    records: tuple[Record, ...]
    """In the order of their seeds."""

    @cached_property
    def areas(self) -> BySeed:
        """The area under the learning curve: the mean score over the budget."""
        return self.by_seed(lambda record: area_under_curve([round_.labeled for round_ in record.rounds], record.score))

    @cached_property
    def thirds(self) -> tuple[BySeed, BySeed, BySeed]:
        """The areas under the first, the middle and the last third of the learning curve."""
        parts = {
            record.seed: areas_of_thirds([round_.labeled for round_ in record.rounds], record.score)
            for record in self.records
        }
        first, middle, last = ({seed: areas[third] for seed, areas in parts.items()} for third in range(3))
        return first, middle, last

    @cached_property
    def last(self) -> BySeed:
        """The score of the last round."""
        return self.by_seed(lambda record: record.score[-1])

    def by_seed(self, value: Callable[[Record], float]) -> BySeed:
        """The value of a function of a record, for every run."""
        return {record.seed: value(record) for record in self.records}

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The mean learning curve: a point per round."""
        return tuple(
            Point(
                labeled=rounds[0].labeled,
                score=interval([record.score[number] for record in self.records]),
                seeds=len(rounds),
                ranking=interval([ranking_accuracy(round_) for round_ in rounds]),
            )
            for number, rounds in enumerate(zip(*(record.rounds for record in self.records), strict=True))
        )

    def costs(self, hardware: Hardware) -> Costs:
        """The costs of the runs on one class of machines. The last round, which selects nothing, counts for `fit` only."""
        runs = [record for record in self.records if Hardware.of(record.machine) == hardware]
        rounds = [round_ for record in runs for round_ in record.rounds]
        selections = [round_.seconds for round_ in rounds if round_.picked]
        return Costs(
            fit=mean([round_.seconds.fit for round_ in rounds]),
            forward=mean([seconds.forward for seconds in selections]),
            score=mean([seconds.score for seconds in selections]),
            pick=mean([seconds.pick for seconds in selections]),
            peak_mebibytes=max((round_.peak_memory_mebibytes for round_ in rounds), default=math.nan),
        )

    def seconds_so_far(self, hardware: Hardware) -> list[float]:
        """Cumulative seconds of training and selection, up to the score of each round.

        Means over the runs on one class of machines; empty if there are none.
        """
        runs = [record for record in self.records if Hardware.of(record.machine) == hardware]
        totals, total = [], 0.0
        for rounds in zip(*(record.rounds for record in runs), strict=True):
            total += mean([round_.seconds.fit for round_ in rounds])
            totals.append(total)
            total += mean([round_.seconds.select for round_ in rounds])
        return totals


def ranking_accuracy(round_: Round, *, own: bool = False) -> float:
    """The ranking accuracy of a loss predictor in one round; NaN if it was not trained.

    Args:
        round_: a round of a record.
        own: whether to give that of the strategy's own loss predictor instead of lossnet's.
    """
    return round_.metrics.get(OWN_RANKING_ACCURACY if own else RANKING_ACCURACY, math.nan)


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; NaN if there are no values."""
    return sum(values) / len(values) if values else math.nan
