"""Persons from JSON in the form that HRNet and mmpose use for MPII, and any data set in the same form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from math import ceil, floor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from tasks.base import DataError, existing, require
from tasks.datasets.names import MPII_JOINTS

PERSON_PIXELS = 200  # MPII gives the scale of a person relative to 200 pixels


class Person(NamedTuple):
    """One annotated person. Places are in [0, 1] over the frame, the usual square crop around the person."""

    places: Float[np.ndarray, "j 2"]
    visible: Bool[np.ndarray, " j"]
    head: float
    """Size of the head over the side of the frame; not a number where the data gives none."""


class Crop(NamedTuple):
    """Where a person's frame lies: center and side in pixels of the image, borders of pixels counting from 0."""

    file: Path
    x: float
    y: float
    side: float


class PoseList(NamedTuple):
    """The persons of one annotation file."""

    crops: tuple[Crop, ...]
    persons: tuple[Person, ...]
    fingerprint: str
    """SHA-256 of the annotation file."""


def load_list(images: Path, annotations: Path, *, center_shift: float, need_head: bool, frame: float) -> PoseList:
    """The persons of an annotation file.

    Args:
        images: the folder of the images.
        annotations: the JSON file: a list of objects with image, center, scale, joints (16 x 2, 1-based), joints_vis,
            and head_size (pixels) or headbox (left, top, right, bottom), of which MPII takes 0.6 of the diagonal.
        center_shift: moves each center down by this many pixels per unit of scale.
        need_head: whether every person must have a head size.
        frame: side of the crop over the size of the person.

    Raises:
        DataError: the file is missing or no such JSON, an image is missing, or a person has no visible joint or no
            needed head size.
    """
    content = existing(annotations, "the annotation file").read_bytes()
    try:
        entries = json.loads(content)
    except ValueError as error:
        msg = f"{annotations} is not JSON ({error}); fetch the data again"
        raise DataError(msg) from None
    require(isinstance(entries, list) and entries, f"{annotations}: expected a list of persons, and found none")
    crops, persons = [], []
    for number, entry in enumerate(entries):
        crop, person = _read(entry, f"{annotations}, person {number}", images, center_shift, frame)
        named = f"{annotations}, person {number} ({crop.file.name})"
        require(person.visible.any(), f"{named} has no visible joint; remove this person")
        require(not need_head or person.head > 0, f"{named} has no head_size or headbox, and PCKh needs one; add it")
        crops.append(crop)
        persons.append(person)
    return PoseList(tuple(crops), tuple(persons), hashlib.sha256(content).hexdigest())


def _read(entry: Any, where: str, images: Path, center_shift: float, frame: float) -> tuple[Crop, Person]:
    try:
        center = np.array(entry["center"], dtype=np.float64).reshape(2) + np.array([0, center_shift * entry["scale"]])
        joints = np.array(entry["joints"], dtype=np.float64).reshape(len(MPII_JOINTS), 2)
        visible = np.array(entry["joints_vis"], dtype=np.float64).reshape(len(MPII_JOINTS)) > 0
        side = float(entry["scale"]) * PERSON_PIXELS * frame
        file = images / str(entry["image"])
        head = _head_pixels(entry) / side
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        msg = f"{where}: {type(error).__name__}: {error}; see the form of HRNet's MPII JSON"
        raise DataError(msg) from None
    require(
        0 < side < np.inf and np.isfinite(joints[visible]).all(),
        f"{where}: a scale or a visible joint is not finite; correct it",
    )
    places = np.where(visible[:, None], (joints - center) / side + 0.5, 0.0)
    shown = visible & (places >= 0).all(1) & (places <= 1).all(1)
    crop = Crop(existing(file, "an image of a person"), center[0] - 0.5, center[1] - 0.5, side)
    return crop, Person(places.astype(np.float32), shown, head)


def _head_pixels(entry: dict[str, Any]) -> float:
    if "head_size" in entry:
        return float(entry["head_size"])
    if "headbox" in entry:
        left, top, right, bottom = entry["headbox"]
        return 0.6 * float(np.hypot(right - left, bottom - top))  # MPII's evaluation code
    return float("nan")


def decoded(crops: Sequence[Crop], side: int, margin: float) -> UInt8[Tensor, "n 3 s s"]:
    """Squares around the persons, `margin` times as wide as their frames; black outside of the image.

    Raises:
        DataError: a file is truncated or no image.
    """
    squares = np.empty((len(crops), 3, side, side), dtype=np.uint8)
    for square, crop in zip(squares, crops, strict=True):
        reach = crop.side * margin / 2
        borders = np.array([crop.x - reach, crop.y - reach, crop.x + reach, crop.y + reach])
        corner = floor(borders[0]), floor(borders[1])
        try:
            with Image.open(crop.file) as image:
                whole = image.convert("RGB").crop((*corner, ceil(borders[2]), ceil(borders[3])))
        except (OSError, UnidentifiedImageError) as error:
            msg = f"{crop.file} cannot be decoded ({error}); fetch the data again"
            raise DataError(msg) from None
        inside = tuple(borders - [*corner, *corner])
        small = whole.resize((side, side), Image.Resampling.BILINEAR, box=inside)
        square[:] = np.asarray(small).transpose(2, 0, 1)
    return torch.from_numpy(squares)
