"""Contrasts: the comparisons that a sweep named before its runs. Only these carry a p; all else is exploratory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from leaderboard.entries import Key
from leaderboard.sections import Section
from leaderboard.statistics import Interval, holm, interval, paired, sign_flip


class Plan(NamedTuple):
    """The comparisons that a sweep named before its runs: only these carry a p."""

    name: str
    tasks: tuple[str, ...]
    tracks: tuple[str, ...]
    contrasts: tuple[tuple[str, str], ...]
    """Pairs of strategies: the first minus the second."""


@dataclass(frozen=True)
class Contrast:
    """One planned comparison of areas, over the seeds that both strategies have."""

    plan: str
    key: Key
    strategy: str
    baseline: str
    difference: Interval
    seeds: int
    p: float
    """Two-sided, by flipping signs; NaN where no seed is shared."""
    corrected: float
    """Holm's, over all contrasts of the plan; one that has not been run counts as 1."""


def contrasts(found: Sequence[Section], plan: Plan) -> list[Contrast]:
    """The planned comparisons that have runs, in the order of the plan; test scores only."""
    places = {(section.key.task, section.key.track): section for section in found if section.key.split == "test"}
    planned = [
        (places.get((task, track)), *pair) for task in plan.tasks for track in plan.tracks for pair in plan.contrasts
    ]
    gaps = [
        paired(section.areas(first), section.areas(second)) if section else np.zeros(0)
        for section, first, second in planned
    ]
    p_values = [sign_flip(each) for each in gaps]
    corrected = holm([1.0 if math.isnan(p) else p for p in p_values])
    return [
        Contrast(plan.name, section.key, first, second, interval(gap), len(gap), p, holms)
        for (section, first, second), gap, p, holms in zip(planned, gaps, p_values, corrected, strict=True)
        if section and len(gap)
    ]
