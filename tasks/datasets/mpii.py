"""Human poses in the JSON form that HRNet and mmpose use for MPII, and any data set in the same form."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from tasks.datasets.names import MPII_JOINTS
from tasks.errors import DataError, require, require_path
from tasks.images.decoding import Box

PERSON_PIXELS = 200  # MPII gives the scale of a person relative to 200 pixels


class Person(NamedTuple):
    """The annotation of one person. Coordinates are in [0, 1] over the frame: the usual square crop around the person."""

    joints: Float[np.ndarray, "j 2"]
    """x and y; meaningless where a joint is not visible."""
    visible: Bool[np.ndarray, " j"]
    head_size: float
    """Relative to the side of the frame; NaN if the data gives none."""


class Crop(NamedTuple):
    """The frame of a person: center and side in pixels of the image, borders of pixels counting from 0."""

    file: Path
    x: float
    y: float
    side: float

    def box(self, margin: float) -> Box:
        """Left, top, right, bottom of a square with the same center and `margin` times the side."""
        reach = self.side * margin / 2
        return np.array([self.x - reach, self.y - reach, self.x + reach, self.y + reach])


class PoseList(NamedTuple):
    """The persons of one annotation file."""

    crops: tuple[Crop, ...]
    persons: tuple[Person, ...]
    fingerprint: str
    """SHA-256 of the annotation file."""


def load_list(images: Path, annotations: Path, *, center_shift: float, need_head: bool, frame: float) -> PoseList:
    """Read the persons of an annotation file.

    Args:
        images: the folder of the images.
        annotations: the JSON file: a list of objects with image, center, scale, joints (16 x 2, 1-based), joints_vis,
            and head_size (pixels) or headbox (left, top, right, bottom), of which MPII takes 0.6 of the diagonal.
        center_shift: moves each center down by this many pixels per unit of scale.
        need_head: require a head size of every person.
        frame: side of the crop over the size of the person.

    Raises:
        DataError: the annotation file or an image is missing, an entry is malformed, or a person has no visible joint or
            no required head size.
    """
    content = require_path(annotations, "the annotation file").read_bytes()
    try:
        entries = json.loads(content)
    except ValueError as error:
        msg = f"{annotations} is not JSON ({error}); fetch the data again"
        raise DataError(msg) from None
    require(isinstance(entries, list) and entries, f"{annotations}: expected a list of persons, got none")
    crops, persons = [], []
    for number, entry in enumerate(entries):
        crop, person = _read(entry, f"{annotations}, person {number}", images, center_shift, frame)
        where = f"{annotations}, person {number} ({crop.file.name})"
        require(person.visible.any(), f"{where} has no visible joint; remove this person")
        require(
            not need_head or person.head_size > 0, f"{where} has no head_size or headbox, and PCKh needs one; add it"
        )
        crops.append(crop)
        persons.append(person)
    return PoseList(tuple(crops), tuple(persons), hashlib.sha256(content).hexdigest())


def _read(entry: Any, where: str, images: Path, center_shift: float, frame: float) -> tuple[Crop, Person]:
    """The crop and the annotation of one entry; `where` begins the messages of errors."""
    try:
        center = np.array(entry["center"], dtype=np.float64).reshape(2) + np.array([0, center_shift * entry["scale"]])
        pixels = np.array(entry["joints"], dtype=np.float64).reshape(len(MPII_JOINTS), 2)
        annotated = np.array(entry["joints_vis"], dtype=np.float64).reshape(len(MPII_JOINTS)) > 0
        side = float(entry["scale"]) * PERSON_PIXELS * frame
        file = images / str(entry["image"])
        head_size = _head_pixels(entry) / side
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        msg = f"{where}: {type(error).__name__}: {error}; see the form of HRNet's MPII JSON"
        raise DataError(msg) from None
    require(
        0 < side < np.inf and np.isfinite(pixels[annotated]).all(),
        f"{where}: the scale is not positive, or a visible joint is not finite; correct it",
    )
    joints = np.where(annotated[:, None], (pixels - center) / side + 0.5, 0.0)
    visible = annotated & (joints >= 0).all(1) & (joints <= 1).all(1)
    crop = Crop(require_path(file, "an image of a person"), center[0] - 0.5, center[1] - 0.5, side)
    return crop, Person(joints.astype(np.float32), visible, head_size)


def _head_pixels(entry: dict[str, Any]) -> float:
    if "head_size" in entry:
        return float(entry["head_size"])
    if "headbox" in entry:
        left, top, right, bottom = entry["headbox"]
        return 0.6 * float(np.hypot(right - left, bottom - top))  # MPII's evaluation code
    return float("nan")
