"""Simulated annotation errors of joints."""

from __future__ import annotations

import numpy as np

from tasks.datasets.mpii import Person
from tasks.datasets.names import MPII_MIRRORED

SHIFT = 0.1
"""Standard deviation of the displacement of a joint, relative to the side of the frame: most of a head's size."""
_INDEX = np.arange(len(MPII_MIRRORED))
_PARTNER = np.array(MPII_MIRRORED)


def mislabeled(person: Person, share: float, rng: np.random.Generator) -> Person:
    """The person with an expected share of the joints wrong.

    A joint that exists on both sides is as likely swapped with its partner as displaced; other joints are displaced.
    """
    draws, shifts = rng.random(len(_INDEX)), rng.normal(0, SHIFT, person.joints.shape)
    paired = _PARTNER != _INDEX
    swapped = paired & (draws[np.minimum(_INDEX, _PARTNER)] < share / 2)  # both joints of a pair use one draw
    draws = rng.random(len(_INDEX))
    remaining = (share / 2) / (
        1 - share / 2
    )  # probability for a joint that is not swapped; makes the displaced share of all joints share / 2
    displaced = np.where(paired, ~swapped & (draws < remaining), draws < share)
    source = np.where(swapped, _PARTNER, _INDEX)
    joints = person.joints[source] + np.where(displaced[:, None], shifts, 0)
    return person._replace(joints=joints.astype(person.joints.dtype), visible=person.visible[source])
