"""What is said of a strategy in a section, and of a pair of strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaderboard.scoring.entries import Costs, Entry, mean
from leaderboard.scoring.statistics import Interval, beats, paired


@dataclass(frozen=True)
class Standing:
    """A strategy in a section. Intervals are over the seeds; differences pair runs of one seed."""

    strategy: str
    rank: int | None
    """By `level`; None for a reference."""
    seeds: int
    area: Interval
    level: float
    """Random's mean area and what it gains over random under the same seeds: its mean area, where it has all of them."""
    last: Interval
    to_baseline: Interval
    """Area minus that of the random strategy; nothing for itself."""
    to_paper: Interval
    """Area minus that of learning loss; nothing for itself."""
    improvement: float
    """Probability that a run of it has a better area than a run of random, of the seeds that both have."""
    gain: Interval
    """Normalised gain of the last score: the share of the way from random to the full pool."""
    pairs: tuple[int, int]
    """How many seeds it shares with random, and with learning loss."""
    reach: Interval
    """Labels at which it is as good as random in the end; nothing when a run never is."""
    reached: int | None
    """In how many runs it is; None where there is no run of random."""
    ranking: Interval
    """Of lossnet in the last round."""
    own_ranking: Interval
    """Of the module that it picks by, where that is its own."""
    costs: Costs


@dataclass(frozen=True)
class Penalties:
    """How often a row beats a column: the share of rounds in which a paired t-test says so (Ash et al. 2020)."""

    strategies: tuple[str, ...]
    wins: NDArray[np.float64]
    """(s, s), over the rounds after the first, which all strategies share; NaN where fewer than two seeds are shared."""
    rounds: int

    @property
    def losses(self) -> NDArray[np.float64]:
        """(s,) how often each strategy loses: the mean of its column, the diagonal left out."""
        others = np.where(np.eye(len(self.strategies), dtype=bool), np.nan, self.wins)
        known = ~np.isnan(others)
        return np.where(known.any(0), np.nansum(others, 0) / np.maximum(known.sum(0), 1), np.nan)


def penalties(entries: Sequence[Entry], rounds: int, sign: float) -> Penalties:
    """How often each of some strategies beats each other one.

    Args:
        entries: their runs.
        rounds: how many there are after the first.
        sign: 1 where a larger score is better, else -1.
    """
    wins = np.full((len(entries), len(entries)), np.nan)
    for row, first in enumerate(entries):
        for column, second in enumerate(entries):
            shared = first.areas.keys() & second.areas.keys()
            if row == column:
                wins[row, column] = 0
            elif len(shared) > 1 and rounds:
                wins[row, column] = mean([_beats(first, second, place, sign) for place in range(1, rounds + 1)])
    return Penalties(tuple(entry.strategy for entry in entries), wins, rounds)


def _beats(first: Entry, second: Entry, place: int, sign: float) -> bool:
    own, other = (entry.by_seed(lambda record: sign * record.score[place]) for entry in (first, second))
    return beats(paired(own, other))
