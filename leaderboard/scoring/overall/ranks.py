"""Overall ranks: how often strategies beat each other under the same protocol and seed, with intervals by bootstrap.

Scores of different protocols are never added: a run says only which of two strategies has the larger area. All protocols count the
same: with more seeds than the others, a run counts as much less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from leaderboard.scoring.entries import BASELINE, Entry
from leaderboard.scoring.overall.bradley_terry import ELO, strengths, wins
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import CONFIDENCE, BySeed, Interval

FEWEST_RUNS = 6
"""The fewest paired runs for a rank: with fewer, not even a win in every run is significant in a two-sided sign test at 5 %."""
RESAMPLES = 500
EQUAL = 1e-6
"""Strengths that differ by less are equal: they are computed to about 1e-7."""


class Place(NamedTuple):
    """The place of a strategy in a ranking."""

    strategy: str
    rank: int
    """By strength; those of equal strength have the same."""
    best: int
    """One more than the number of strategies that are clearly stronger."""
    worst: int
    """The number of strategies that are not clearly weaker, this one included."""
    points: Interval
    """Elo points above random, with the interval of the bootstrap."""
    won: float
    """Runs that beat random's under the same protocol and seed; a tie is half a run."""
    runs: int
    """Runs that are paired with one of random."""
    protocols: int
    """The number of protocols with such a run."""


@dataclass(frozen=True)
class Ranking:
    """The ranks of the strategies in some sections."""

    places: tuple[Place, ...]
    """The best first."""
    few: tuple[Place, ...]
    """Strategies with too few paired runs for a rank; their rank is 0 and their points are NaN. The most runs first."""
    protocols: tuple[str, ...]


def ranking(sections: Sequence[Section], span: int | None = None) -> Ranking:
    """Rank the strategies of some sections by the areas under their learning curves.

    Args:
        sections: sections of any metric.
        span: 0, 1 or 2 for the first, the middle or the last third of the budget; None for all of it.
    """
    with_random = [each for each in sections if BASELINE in each.by_name and not each.by_name[BASELINE].reference]
    names = sorted({entry.strategy for section in sections for entry in section.entries if not entry.reference})
    tables = [_table(section, names, span) for section in with_random]
    protocols = tuple(section.key.protocol for section in with_random)
    if not tables or not any(len(table) for table in tables):
        return Ranking((), (), protocols)
    random = names.index(BASELINE)
    paired = [~np.isnan(table) & ~np.isnan(table[:, [random]]) for table in tables]
    runs = np.sum([pairs.sum(0) for pairs in paired], 0)
    met = np.sum([pairs.any(0) for pairs in paired], 0)
    won = np.sum([wins(table)[:, :, random].sum(0) for table in tables], 0)
    tallies = {name: (float(won[i]), int(runs[i]), int(met[i])) for i, name in enumerate(names)}
    ranked = [i for i in range(len(names)) if runs[i] >= FEWEST_RUNS]
    places = _places([table[:, ranked] for table in tables], [names[i] for i in ranked], tallies)
    nothing = Interval(np.nan, np.nan, np.nan)
    few = sorted((name for i, name in enumerate(names) if runs[i] < FEWEST_RUNS), key=lambda name: -tallies[name][1])
    return Ranking(places, tuple(Place(name, 0, 0, 0, nothing, *tallies[name]) for name in few), protocols)


def _table(section: Section, names: Sequence[str], span: int | None) -> Float[NDArray[np.float64], "r p"]:
    """The areas of a section, a row per seed and a column per strategy, larger is better; NaN where there is no run.

    Of strategies that made the same runs one counts: the other's would be counted twice.
    """
    own = [name for name in names if name in section.by_name and name not in section.twins]
    areas = {name: areas_of(section.by_name[name], span) for name in own}
    seeds = sorted({seed for own in areas.values() for seed in own})
    rows = [
        [section.sign * areas[name].get(seed, np.nan) if name in areas else np.nan for name in names] for seed in seeds
    ]
    return np.array(rows, dtype=np.float64).reshape(len(seeds), len(names))


def areas_of(entry: Entry, span: int | None) -> BySeed:
    """The areas of a strategy's runs: of a third of the budget, or of all of it if `span` is None."""
    return entry.areas if span is None else entry.thirds[span]


def _places(
    tables: Sequence[Float[NDArray[np.float64], "r p"]],
    names: Sequence[str],
    tallies: dict[str, tuple[float, int, int]],
) -> tuple[Place, ...]:
    """The places of the ranked strategies, from their areas in every section."""
    if BASELINE not in names:
        return ()
    anchor, players = names.index(BASELINE), len(names)
    seeds = [len(table) for table in tables]
    equalizing = np.repeat([np.mean(seeds) / max(count, 1) for count in seeds], seeds)
    won = np.concatenate([wins(table) for table in tables]).reshape(-1, players * players) * equalizing[:, None]
    matrices = (np.vstack([np.ones(len(won)), resampling_weights(seeds)]) @ won).reshape(-1, players, players)
    found = strengths(matrices, anchor)
    strength, resampled = found[0], found[1:]
    gaps = resampled[:, :, None] - resampled[:, None, :]
    clearly_stronger = _quantile(gaps, (1 - CONFIDENCE) / 2) > 0
    lower, upper = (_quantile(resampled, share) * ELO for share in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    order: list[int] = np.argsort(-strength, kind="stable").tolist()
    return tuple(
        Place(
            names[i],
            1 + int((strength > strength[i] + EQUAL).sum()),
            1 + int(clearly_stronger[:, i].sum()),
            players - int(clearly_stronger[i].sum()),
            Interval(float(strength[i] * ELO), float(lower[i]), float(upper[i])),
            *tallies[names[i]],
        )
        for i in order
    )


def _quantile(values: Float[NDArray[np.float64], "b ..."], share: float) -> Float[NDArray[np.float64], ...]:
    """A quantile over the first axis, NaN left out, as `np.nanquantile` gives it: that one takes a slow way around NaN."""
    ordered = np.sort(values, axis=0)  # NaN last
    place = share * (np.count_nonzero(~np.isnan(ordered), axis=0) - 1)
    below = np.floor(place).astype(np.int64)
    low, high = (np.take_along_axis(ordered, each[None], 0)[0] for each in (below, np.ceil(place).astype(np.int64)))
    return low + (high - low) * (place - below)


def resampling_weights(seeds: Sequence[int]) -> Int[NDArray[np.int64], "b r"]:
    """How often every run counts in each resample: protocols are drawn first, with replacement, then the seeds of each.

    Args:
        seeds: the number of seeds of every protocol.
    """
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=RESAMPLES)
    return np.hstack(
        [rng.multinomial(drawn[:, i] * count, np.full(count, 1 / count)) for i, count in enumerate(seeds) if count]
    )
