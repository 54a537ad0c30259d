"""Contrasts: the comparisons that a sweep named before its runs. Only these carry a p; all else is exploratory."""

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
    """The comparisons that a sweep named before its runs: only these carry a p."""

    name: str
    protocols: tuple[tuple[str, int], ...]
    """Names and numbers of the task protocols."""
    tracks: tuple[str, ...]
    seeds: tuple[int, ...]
    """Those that were planned, and no others, count."""
    contrasts: tuple[tuple[str, str], ...]
    """Pairs of strategies: the first minus the second."""


@dataclass(frozen=True)
class Contrast:
    """One planned comparison of areas, over the planned seeds that both strategies have."""

    plan: str
    key: Key
    strategy: str
    baseline: str
    difference: Interval
    seeds: int
    planned_seeds: int
    p: float
    """Two-sided, by flipping signs; NaN until all planned seeds are there."""
    corrected: float
    """Holm's, over all contrasts of the plan, of which one that is not complete counts as 1; NaN for that one."""


def contrasts(found: Sequence[Section], plan: Plan) -> list[Contrast]:
    """The planned comparisons that have runs, in the order of the plan; test scores only."""
    sections = {section.key: section for section in found}
    planned = [
        (Key(task, number, track, "test"), *pair)
        for task, number in plan.protocols
        for track in plan.tracks
        for pair in plan.contrasts
    ]
    gaps = [_gaps(sections.get(key), first, second, plan.seeds) for key, first, second in planned]
    p_values = [sign_flip(gap) if len(gap) == len(plan.seeds) else math.nan for gap in gaps]
    counted = holm([1.0 if math.isnan(p) else p for p in p_values])
    corrected = [math.nan if math.isnan(p) else holms for p, holms in zip(p_values, counted, strict=True)]
    return [
        Contrast(plan.name, key, first, second, interval(gap), len(gap), len(plan.seeds), p, holms)
        for (key, first, second), gap, p, holms in zip(planned, gaps, p_values, corrected, strict=True)
        if len(gap)
    ]


def _gaps(section: Section | None, first: str, second: str, seeds: Sequence[int]) -> NDArray[np.float64]:
    if section is None:
        return np.zeros(0)
    own = {seed: area for seed, area in section.areas(first).items() if seed in seeds}
    return paired(own, section.areas(second))
