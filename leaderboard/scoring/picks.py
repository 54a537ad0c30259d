"""Picks: the groups of the picked images, and the overlap between the picks of strategies."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32
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


def overlap_matrix(section: Section) -> Float[NDArray[np.float64], "s s"]:
    """The share of the picks of the strategy in the row that the one in the column picked, too, in the run of the same seed.

    All rounds of a run together; means over the seeds that both have, NaN if there are none. Strategies in the order of
    `section.entries`.
    """
    entries = section.entries
    runs = {seed for entry in entries for seed in entry.areas}
    total, count = (np.zeros((len(entries), len(entries))) for _ in range(2))
    for seed in runs:
        picks = [
            next((record.picked for record in entry.records if record.seed == seed), frozenset()) for entry in entries
        ]
        chosen = _chosen(picks)
        sizes = chosen.sum(1)
        known = (sizes[:, None] > 0) & np.array([seed in entry.areas for entry in entries])
        total += np.where(known, (chosen @ chosen.T) / np.maximum(sizes[:, None], 1), 0)
        count += known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def overlaps(section: Section, strategy: str, matrix: Float[NDArray[np.float64], "s s"]) -> list[tuple[str, float]]:
    """The other strategies of a section by name, with their overlap, the largest first.

    Args:
        section: the section.
        strategy: the strategy whose picks are shared.
        matrix: the section's `overlap_matrix`.
    """
    names = [entry.strategy for entry in section.entries]
    shares = matrix[names.index(strategy)].tolist()
    pairs = [(name, share) for name, share in zip(names, shares, strict=True) if name != strategy]
    return sorted((pair for pair in pairs if not math.isnan(pair[1])), key=lambda pair: (-pair[1], pair[0]))


def _chosen(runs: Sequence[Collection[int]]) -> Float32[NDArray[np.float32], "r i"]:
    """1 where a run, in a row, picked an image, else 0; a column for each image that any run picked."""
    ids = [np.fromiter(run, np.int64, len(run)) for run in runs]
    images, columns = np.unique(np.concatenate([np.zeros(0, np.int64), *ids]), return_inverse=True)
    chosen = np.zeros((len(runs), len(images)), dtype=np.float32)
    chosen[np.repeat(np.arange(len(runs)), [len(run) for run in runs]), columns] = 1
    return chosen


def seed_overlap(entry: Entry) -> float:
    """The overlap between the runs of one strategy under different seeds: the mean over all pairs of runs."""
    runs = [record.picked for record in entry.records if record.picked]
    chosen = _chosen(runs)
    shares = (chosen @ chosen.T) / np.maximum(chosen.sum(1, keepdims=True), 1)
    return mean(shares[~np.eye(len(runs), dtype=bool)].tolist())
