"""Picks: the groups of the picked images, and the overlap between the picks of strategies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.scoring.entries import BASELINE, Entry, mean
from leaderboard.scoring.sections import Section


class GroupShare(NamedTuple):
    """The share of a strategy's picks that belongs to a group, as a mean over the seeds."""

    group: str
    strategy: str
    share: float


def group_shares(section: Section, strategy: str) -> list[GroupShare]:
    """The group shares of a strategy and, for comparison, of random; empty if no image was picked."""
    groups = section.records[0].group_names
    rows = []
    for name in dict.fromkeys((strategy, BASELINE)):
        shares = _mean_shares(section.by_name[name], len(groups)) if name in section.by_name else None
        if shares is not None:
            rows += [GroupShare(group, name, float(share)) for group, share in zip(groups, shares, strict=True)]
    return rows


def _mean_shares(entry: Entry, groups: int) -> NDArray[np.float64] | None:
    """The share of each group in the picks, as a mean over the runs; None if no run counted its groups."""
    runs = []
    for record in entry.records:
        counts = [round_.group_counts for round_ in record.rounds if round_.picked]
        if counts and all(len(count) == groups for count in counts):
            runs.append(np.sum(counts, 0) / len(record.picked))
    return np.mean(runs, 0) if runs else None


def overlap(first: Entry, second: Entry) -> float:
    """The share of the picks of `first` that `second` picked, too, in the run of the same seed.

    All rounds of a run together; the mean over the seeds that both have, NaN if there are none.
    """
    others = {record.seed: record.picked for record in second.records}
    shares = [
        len(record.picked & others[record.seed]) / len(record.picked)
        for record in first.records
        if record.seed in others and record.picked
    ]
    return mean(shares)


def overlaps(section: Section, strategy: str) -> list[tuple[str, float]]:
    """The other strategies of a section by name, with their overlap, the largest first."""
    own = section.by_name[strategy]
    pairs = [(entry.strategy, overlap(own, entry)) for entry in section.entries if entry.strategy != strategy]
    return sorted((pair for pair in pairs if not math.isnan(pair[1])), key=lambda pair: (-pair[1], pair[0]))


def seed_overlap(entry: Entry) -> float:
    """The overlap between the runs of one strategy under different seeds: the mean over all pairs of runs."""
    runs: Sequence[frozenset[int]] = [record.picked for record in entry.records if record.picked]
    return mean([len(first & second) / len(first) for first in runs for second in runs if first is not second])
