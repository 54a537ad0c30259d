"""Picks: what strategies chose, and how much of it others chose too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.schema.records import Record
from leaderboard.scoring.entries import BASELINE, Entry, mean
from leaderboard.scoring.sections import Section


class GroupShare(NamedTuple):
    """What share of the images that a strategy picked belongs to a group; the mean over the seeds."""

    group: str
    strategy: str
    share: float


def group_shares(section: Section, strategy: str) -> list[GroupShare]:
    """Of a strategy and, for comparison, of random; nothing where no image was picked."""
    names = section.records[0].group_names
    found = []
    for each in dict.fromkeys((strategy, BASELINE)):
        shares = _mean_shares(section.by_name[each], len(names)) if each in section.by_name else None
        if shares is not None:
            found += [GroupShare(name, each, float(share)) for name, share in zip(names, shares, strict=True)]
    return found


def _mean_shares(entry: Entry, groups: int) -> NDArray[np.float64] | None:
    runs = []
    for record in entry.records:
        counts = [one.group_counts for one in record.rounds if one.picked]
        if counts and all(len(each) == groups for each in counts):
            runs.append(np.sum(counts, 0) / len(picks(record)))
    return np.mean(runs, 0) if runs else None


def picks(record: Record) -> frozenset[int]:
    """All images that a run picked."""
    return frozenset(image for one in record.rounds for image in one.picked)


def overlap(first: Entry, second: Entry) -> float:
    """What share of its picks the first has in common with the second, over whole runs; the mean over shared seeds."""
    others = {record.seed: picks(record) for record in second.records}
    shares = [
        len(picks(record) & others[record.seed]) / len(picks(record))
        for record in first.records
        if record.seed in others and picks(record)
    ]
    return mean(shares)


def overlaps(section: Section, strategy: str) -> list[tuple[str, float]]:
    """The overlap with every other strategy of a section, the largest first."""
    own = section.by_name[strategy]
    found = [(each.strategy, overlap(own, each)) for each in section.entries if each.strategy != strategy]
    return sorted((pair for pair in found if not math.isnan(pair[1])), key=lambda pair: (-pair[1], pair[0]))


def seed_overlap(entry: Entry) -> float:
    """What share of its picks a run has in common with the same strategy's run under another seed; the mean over pairs."""
    runs: Sequence[frozenset[int]] = [each for each in map(picks, entry.records) if each]
    return mean([len(one & other) / len(one) for one in runs for other in runs if one is not other])
