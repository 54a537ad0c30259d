"""Simulated annotation errors of joints."""

from __future__ import annotations

import numpy as np

from tasks.datasets.persons import Person

SHIFT = 0.1
"""Standard deviation of the displacement of a joint, relative to the side of the frame: most of a head's size."""


def mislabeled(person: Person, share: float, rng: np.random.Generator) -> Person:
    """The person with an expected share of the joints wrong.

    A joint that exists on both sides is as likely swapped with its partner as displaced; other joints are displaced.
    """
    partner = np.array(person.skeleton.mirrored)
    index = np.arange(len(partner))
    draws, shifts = rng.random(len(index)), rng.normal(0, SHIFT, person.joints.shape)
    paired = partner != index
    swapped = paired & (draws[np.minimum(index, partner)] < share / 2)  # both joints of a pair use one draw
    draws = rng.random(len(index))
    remaining = (share / 2) / (
        1 - share / 2
    )  # probability for a joint that is not swapped; makes the displaced share of all joints share / 2
    displaced = np.where(paired, ~swapped & (draws < remaining), draws < share)
    source = np.where(swapped, partner, index)
    joints = person.joints[source] + np.where(displaced[:, None], shifts, 0)
    return person._replace(joints=joints.astype(person.joints.dtype), visible=person.visible[source])
