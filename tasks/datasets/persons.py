"""What every form of pose data gives: persons, the square frames around them, and the names of their joints."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from tasks.errors import require
from tasks.images.decoding import Box
from tasks.images.files import ImageFile


class Skeleton(NamedTuple):
    """The joints of a form of data."""

    joints: tuple[str, ...]
    """Names; those of the two sides of the body have "left" and "right" in them."""
    mirrored: tuple[int, ...]
    """For each joint the index of its counterpart in a horizontally flipped image."""
    limbs: tuple[tuple[int, int], ...]
    """Pairs of joints between which a picture shows a line."""

    def side(self, name: str) -> list[int]:
        """The joints of one side of the body, `left` or `right`."""
        paired = [index for index, twin in enumerate(self.mirrored) if twin != index]
        return [index for index in paired if name in self.joints[index].casefold()]

    def require_joints(self, setting: str, indices: tuple[int, ...]) -> None:
        """Raise a DataError if a protocol's setting names a joint that there is not."""
        largest, last = max(indices), len(self.joints) - 1
        require(
            largest <= last,
            f"{setting}: {largest} is no joint; the data has joints 0 to {last}",
            "correct the protocol",
        )


class Person(NamedTuple):
    """The annotation of one person. Coordinates are in [0, 1] over the frame: the usual square crop around the person."""

    joints: Float[np.ndarray, "j 2"]
    """x and y; meaningless where a joint is not visible."""
    visible: Bool[np.ndarray, " j"]
    head_size: float
    """Relative to the side of the frame; NaN if the data gives none."""
    skeleton: Skeleton
    box_size: float = float("nan")
    """The longer side of the person's box, relative to the side of the frame; NaN if the data has no boxes."""


class Crop(NamedTuple):
    """The frame of a person: center and side in pixels of the image, borders of pixels counting from 0."""

    file: ImageFile
    x: float
    y: float
    side: float

    def box(self, margin: float) -> Box:
        """Left, top, right, bottom of a square with the same center and `margin` times the side."""
        reach = self.side * margin / 2
        return np.array([self.x - reach, self.y - reach, self.x + reach, self.y + reach])


class PoseList(NamedTuple):
    """The persons of one annotation file, all with the same skeleton."""

    crops: tuple[Crop, ...]
    persons: tuple[Person, ...]
    skeleton: Skeleton
    fingerprint: str
    """SHA-256 of the annotation file."""
