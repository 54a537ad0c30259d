"""Which images of a round are trained on, held out, unlabeled or set aside."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lossbench.words import plural
from tasks.base import Ids
from tasks.datasets.labeled.folder import LabeledImages, is_example, is_held_out
from tasks.datasets.tools.annotated import Shape
from tasks.notices import notice

FEWEST_HELD_OUT = 5
"""Labeled images below which nothing is held out: all of them train, and there is no score."""


class Division(NamedTuple):
    """The images of a round, as ids of its task."""

    training: Ids
    held_out: Ids
    unlabeled: Ids
    set_aside: Ids

    @classmethod
    def of(cls, found: LabeledImages, shape: Shape, share: float) -> Division:
        """Divide a folder, a share of whose labels are held out."""
        examples = np.array([is_example(label, shape) for label in found.labels])
        labeled = np.array([label is not None for label in found.labels])
        held_out = examples & np.array([is_held_out(name, share) for name in found.names])
        if held_out.sum() < FEWEST_HELD_OUT:
            held_out[:] = False
        masks = (examples & ~held_out, held_out, ~labeled, labeled & ~examples)
        return cls(*(np.flatnonzero(mask).astype(np.int64) for mask in masks))


def distinct(groups: np.ndarray, division: Division) -> Ids:
    """The unlabeled images of which none is a near-duplicate of another or of a labeled one: of each group the first."""
    known = np.concatenate([division.training, division.held_out, division.set_aside])
    fresh = division.unlabeled[~np.isin(groups[division.unlabeled], groups[known])]
    return fresh[np.sort(np.unique(groups[fresh], return_index=True)[1])]


def unseen(groups: np.ndarray, division: Division) -> Ids:
    """The held-out images that are no near-duplicates of one that is trained on; none where fewer than `FEWEST_HELD_OUT` are left."""
    tested = division.held_out[~np.isin(groups[division.held_out], groups[division.training])]
    if dropped := len(division.held_out) - len(tested):
        left = "too few are left for a score" if len(tested) < FEWEST_HELD_OUT else f"the score is of {len(tested):,}"
        held_out = plural(len(division.held_out), "held-out image")
        notice(
            f"{dropped:,} of {held_out} {'is a near-duplicate' if dropped == 1 else 'are near-duplicates'} of training images; {left}"
        )
    return tested if len(tested) >= FEWEST_HELD_OUT else tested[:0]
