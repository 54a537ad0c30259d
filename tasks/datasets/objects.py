"""Images with objects in boxes, whatever form they were read from."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from lossbench.words import plural
from tasks.errors import require
from tasks.images.files import ImageFile, path_of
from tasks.notices import notice

MOST_BEYOND = 1.0
"""Pixels by which a box may reach beyond its image: tools that count pixels differently write so, and it is cut."""
ROUNDING = 1e-4
Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML, CSV or a list of one name a line cannot hold, and what Python makes of names that are not UTF-8."""


class Objects(NamedTuple):
    """The annotation of one image: its objects, possibly none."""

    boxes: Float[np.ndarray, "b 4"]
    """Left, top, right, bottom in [0, 1] over the image: the outer borders of the outermost pixels."""
    labels: Int[np.ndarray, " b"]
    """Class indices."""
    difficult: Bool[np.ndarray, " b"]
    """Never a training target; in the metrics neither a miss nor a false alarm (VOC development kit, section 4.4)."""
    width: int
    """Of the image, in pixels."""
    height: int


class ObjectSplit(NamedTuple):
    """The images of a split, and the objects of each."""

    files: tuple[ImageFile, ...]
    objects: tuple[Objects, ...]


class Border(NamedTuple):
    """Boxes within their image, and how many of them were cut."""

    corners: Float[np.ndarray, "b 4"]
    """Left, top, right and bottom in pixels."""
    boxes: Float[np.ndarray, "b 4"]
    """The same in [0, 1] over the image, in single precision."""
    cut: int


def inside(corners: Float[np.ndarray, "b 4"], size: tuple[int, int], where: str, what: str = "box") -> Border:
    """Cut boxes that reach up to a pixel beyond their image.

    Args:
        corners: left, top, right, bottom in pixels, borders counting from 0.
        size: width and height of the image.
        where: names the image in a message.
        what: the boxes are of, or around.

    Raises:
        DataError: a box is not finite, lies further outside, or has no area in single precision.
    """
    limits = np.array(size * 2, dtype=np.float64)
    beyond: Float[np.ndarray, " b"] = np.maximum(-corners, corners - limits).max(1, initial=0.0)
    kept = corners.clip(0, limits)
    boxes = (kept / limits).astype(np.float32) if len(kept) else kept.astype(np.float32)
    outside = ~(beyond <= MOST_BEYOND + ROUNDING)  # also NaN
    flat = np.any(boxes[:, 2:] <= boxes[:, :2], axis=1)
    for row in np.flatnonzero(outside | flat):
        box = f"{where}: the {what} from ({', '.join(f'{value:g}' for value in corners[row])})"
        beyond_it = f"{box} lies outside its image of {size[0]}x{size[1]} pixels"
        require(not outside[row], beyond_it, "correct it; its numbers are left, top, right and bottom here")
        require(not flat[row], f"{box} has no area", "correct or remove it")
    return Border(kept, boxes, int((beyond > ROUNDING).sum()))


def clipped(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box inside an image of this width and height; the whole box if there is none, to be refused as it is.

    Nobody can correct the corners of an upright box around a turned one, which reach out where the object itself may not.
    """
    left, top, right, bottom = (
        max(box[0], 0.0),
        max(box[1], 0.0),
        min(box[2], float(size[0])),
        min(box[3], float(size[1])),
    )
    return (left, top, right, bottom) if left < right and top < bottom else box


def say_cut(cut: int, where: str = "") -> None:
    """Say in one line how many boxes were cut at the border of their images; nothing where none was."""
    if cut:
        begin = f"{where}: " if where else ""
        notice(
            f"{begin}{plural(cut, 'box reaches', 'boxes reach')} beyond an image by a pixel at most; what is outside is cut"
        )


def check_names(names: Sequence[str], where: str) -> None:
    """Raise a DataError where a class has no name, or one with control characters, or two names differ in case, white space or Unicode form alone."""
    require(names, f"{where} has no classes", "name them")
    seen: dict[str, str] = {}
    for name in names:
        plain = " ".join(unicodedata.normalize("NFC", name).casefold().split())
        require(plain, f"{where} has a class without a name", "name it")
        require(not UNWRITABLE.search(name), f"{where}: the class {name!a} has control characters", "rename it")
        other = seen.setdefault(plain, name)
        same = other != name and unicodedata.normalize("NFC", other) == unicodedata.normalize("NFC", name)
        require(
            not same,
            f"{where}: the class {name!r} is there in two Unicode forms, {other!a} and {name!a}",
            "write it in one",
        )
        require(other == name, f"{where}: the classes {other!r} and {name!r} differ in case or white space alone")
    name, count = Counter(names).most_common(1)[0]
    require(count == 1, f"{where} has the class {name!r} {count} times", "give each class one entry")


def fingerprint(split: ObjectSplit) -> str:
    """SHA-256 over the names and objects of all images."""
    digest = hashlib.sha256()
    for file, objects in zip(split.files, split.objects, strict=True):
        path = path_of(file)
        digest.update(f"{path.parent.parent.name}/{path.name}".encode())
        for values in (objects.boxes, objects.labels, objects.difficult):
            digest.update(values.tobytes())
    return digest.hexdigest()
