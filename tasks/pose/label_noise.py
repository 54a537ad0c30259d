"""How annotators of joints err."""

from __future__ import annotations

import numpy as np

from tasks.datasets.mpii import Person
from tasks.datasets.names import MPII_MIRRORED

SHIFT = 0.1
"""Standard deviation of a displaced joint over the side of the frame: most of a head's size."""
_ORDER = np.arange(len(MPII_MIRRORED))
_PARTNER = np.array(MPII_MIRRORED)


def mislabeled(person: Person, share: float, rng: np.random.Generator) -> Person:
    """The person with a share of the joints wrong: those of a pair as likely swapped as displaced, others displaced."""
    draws, shifts = rng.random(len(_ORDER)), rng.normal(0, SHIFT, person.places.shape)
    paired = _PARTNER != _ORDER
    swapped = paired & (draws[np.minimum(_ORDER, _PARTNER)] < share / 2)
    own = rng.random(len(_ORDER))
    remaining = (share / 2) / (1 - share / 2)  # of the joints of a pair that are not swapped: half the share of all
    displaced = np.where(paired, ~swapped & (own < remaining), own < share)
    source = np.where(swapped, _PARTNER, _ORDER)
    places = person.places[source] + np.where(displaced[:, None], shifts, 0)
    return person._replace(places=places.astype(person.places.dtype), visible=person.visible[source])
