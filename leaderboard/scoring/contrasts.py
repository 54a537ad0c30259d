"""Contrasts: the planned comparisons of sweeps. Only these have p-values; all other comparisons are exploratory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.scoring.entries import Key
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import Interval, holm, interval, paired, sign_flip


class Plan(NamedTuple):
    """The comparisons that a sweep declares before its runs are made."""

    name: str
    """The name of the sweep."""
    protocols: tuple[tuple[str, int], ...]
    """Name and version of every protocol."""
    tracks: tuple[str, ...]
    seeds: tuple[int, ...]
    """The planned seeds. Runs under other seeds are ignored."""
    contrasts: tuple[tuple[str, str], ...]
    """Pairs of strategies: the area of the first minus that of the second is tested."""
    disclosure: str = ""
    """What was known before the comparisons were named, or changed after; empty if nothing was."""


@dataclass(frozen=True)
class Contrast:
    """A planned comparison of the areas of two strategies, over the planned seeds that both have."""

    plan: str
    """The name of the sweep."""
    key: Key
    strategy: str
    baseline: str
    """The strategy whose area is subtracted."""
    difference: Interval
    """The paired difference of areas."""
    seeds: int
    """The number of planned seeds that both strategies have."""
    planned_seeds: int
    """The number of planned seeds."""
    p: float
    """Two-sided p-value of a sign-flip test; NaN until both strategies have all planned seeds."""
    corrected: float
    """The p-value after Holm's correction over all contrasts of the plan, where a NaN counts as 1; NaN if `p` is."""


def contrasts(sections: Sequence[Section], plan: Plan) -> list[Contrast]:
    """The planned comparisons that have runs on the test split, in the order of the plan."""
    by_key = {section.key: section for section in sections}
    planned = [
        (Key(protocol, version, track, "test"), *pair)
        for protocol, version in plan.protocols
        for track in plan.tracks
        for pair in plan.contrasts
    ]
    differences = [_differences(by_key.get(key), first, second, plan.seeds) for key, first, second in planned]
    p_values = [sign_flip(values) if len(values) == len(plan.seeds) else math.nan for values in differences]
    holm_values = holm([1.0 if math.isnan(p) else p for p in p_values])
    corrected = [math.nan if math.isnan(p) else value for p, value in zip(p_values, holm_values, strict=True)]
    return [
        Contrast(plan.name, key, first, second, interval(values), len(values), len(plan.seeds), p, corrected_p)
        for (key, first, second), values, p, corrected_p in zip(planned, differences, p_values, corrected, strict=True)
        if len(values)
    ]


def _differences(section: Section | None, first: str, second: str, seeds: Sequence[int]) -> NDArray[np.float64]:
    """The differences of the areas of two strategies under the planned seeds; empty without a section."""
    if section is None:
        return np.zeros(0)
    planned = {seed: area for seed, area in section.areas(first).items() if seed in seeds}
    return paired(planned, section.areas(second))
