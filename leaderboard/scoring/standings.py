"""The results of a strategy in a section, and of pairs of strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaderboard.scoring.entries import Costs, Entry, mean
from leaderboard.scoring.statistics import Interval, beats


@dataclass(frozen=True)
class Standing:
    """The results of a strategy in a section. Intervals are over seeds; differences pair the runs of the same seed.

    All fields of an interval are NaN if there is nothing to compute it from.
    """

    strategy: str
    rank: int | None
    """The rank by `level`; None for a reference."""
    seeds: int
    """The number of runs."""
    area: Interval
    """The area under the learning curve: the mean score over the budget."""
    level: float
    """Random's mean area plus the strategy's mean difference to random under the same seeds.

    It equals the mean area if both strategies have the same seeds.
    """
    last: Interval
    """The score of the last round."""
    to_baseline: Interval
    """Area minus that of random."""
    thirds: tuple[Interval, ...]
    """The areas of the first, the middle and the last third of the budget."""
    thirds_to_baseline: tuple[Interval, ...]
    """These areas minus those of random."""
    to_reference_method: Interval
    """Area minus that of learning loss."""
    improvement: float
    """Probability that a run of the strategy has a better area than a run of random, over the seeds that both have."""
    gain: Interval
    """Normalized gain of the last score: (strategy - random) / (full pool - random)."""
    pairs: tuple[int, int]
    """The number of seeds shared with random, and with learning loss."""
    reach: Interval
    """The number of labels at which the strategy reaches random's last score; NaN if a run does not reach it."""
    reached: int | None
    """The number of runs that reach it; None if there are no runs of random."""
    ranking: Interval
    """Ranking accuracy of lossnet in the last round."""
    own_ranking: Interval
    """Ranking accuracy, in the last round, of a loss predictor that the strategy trains itself."""
    costs: Costs


@dataclass(frozen=True)
class Penalties:
    """The penalty matrix (Ash et al. 2020): how often one strategy beats another, by paired t-tests."""

    strategies: tuple[str, ...]
    """The strategies of the rows and of the columns."""
    wins: NDArray[np.float64]
    """(s, s), the share of rounds in which the row beats the column; NaN if they share fewer than two seeds.

    The first round, which all strategies have in common, does not count.
    """
    rounds: int
    """The number of rounds after the first."""

    @property
    def losses(self) -> NDArray[np.float64]:
        """(s,) how often a strategy is beaten: the mean of its column without the diagonal."""
        others = np.where(np.eye(len(self.strategies), dtype=bool), np.nan, self.wins)
        known = ~np.isnan(others)
        return np.where(known.any(0), np.nansum(others, 0) / np.maximum(known.sum(0), 1), np.nan)


def penalties(entries: Sequence[Entry], rounds: int, sign: float) -> Penalties:
    """The penalty matrix of some strategies.

    Args:
        entries: the runs of the strategies, in the order of the rows.
        rounds: the number of rounds after the first.
        sign: 1 if a larger score is better, else -1.
    """
    wins = np.full((len(entries), len(entries)), np.nan)
    scores = [{record.seed: np.array(record.score) for record in entry.records} for entry in entries]
    for row, first in enumerate(entries):
        for column, second in enumerate(entries):
            shared = sorted(scores[row].keys() & scores[column].keys())
            if first is second:
                wins[row, column] = 0
            elif len(shared) > 1 and rounds:
                gaps = np.array([scores[row][seed] - scores[column][seed] for seed in shared])
                wins[row, column] = mean([beats(sign * gaps[:, index]) for index in range(1, rounds + 1)])
    return Penalties(tuple(entry.strategy for entry in entries), wins, rounds)
