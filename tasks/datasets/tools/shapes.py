"""Shapes that several tools write: rotated boxes, outlines and masks, and what can be wrong with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from pycocotools import mask as typed_mask

from tasks.datasets.objects import Box, clipped, inside
from tasks.datasets.tools.annotated import LabeledBox, LabeledRegion
from tasks.errors import DataError, require
from tasks.images.decoding import MOST_PIXELS

FEWEST_CORNERS = 3
"""Of an outline."""
WIDE = 1e-6
"""Share of an image's side that is a difference in single precision, too."""
coco_mask: Any = typed_mask
"""Its annotations know one of the forms alone that it takes."""
Mask = dict[str, Any]
"""As `LabeledRegion.mask`."""


def upright(box: Box, degrees: float, pivot: tuple[float, float], size: tuple[int, int] | None) -> Box:
    """The upright box around a box that is turned clockwise; if it is turned, the part of it inside the image.

    Args:
        box: left, top, right, bottom before it is turned, in pixels.
        degrees: by which it is turned.
        pivot: x and y of the point that stays where it is.
        size: width and height of the image, where they are known.
    """
    if not degrees:
        return box
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(x - pivot[0], y - pivot[1]) for x in (box[0], box[2]) for y in (box[1], box[3])]
    across = [pivot[0] + x * cosine - y * sine for x, y in corners]
    down = [pivot[1] + x * sine + y * cosine for x, y in corners]
    around = min(across), min(down), max(across), max(down)
    return around if size is None else clipped(around, size)


def outlined(outlines: Sequence[Sequence[float]], size: tuple[int, int] | None, where: str) -> Mask:
    """The mask of what lies inside outlines: an object may have several parts.

    Args:
        outlines: x and y of the corners of each, one after the other, in pixels.
        size: width and height of the image.
        where: names the image and the object in a message.

    Raises:
        DataError: the size is not known, an outline has fewer than three corners, or reaches beyond the image.
    """
    width, height = known_size(size, where)
    require(outlines, f"{where} has no outline", "outline it, or remove it")
    cut = []
    for outline in outlines:
        fits = len(outline) % 2 == 0 and len(outline) >= 2 * FEWEST_CORNERS
        require(
            fits, f"{where}: an outline has {len(outline)} numbers", "x and y of three corners or more belong there"
        )
        cut.append(_within(outline, (width, height), where))
    return coco_mask.merge(coco_mask.frPyObjects(cut, height, width))


def _within(outline: Sequence[float], size: tuple[int, int], where: str) -> list[float]:
    """An outline, cut at the border of its image, which it may reach beyond by a pixel."""
    across, down = outline[::2], outline[1::2]
    left, top, right, bottom = min(across), min(down), max(across), max(down)
    width, height = size
    plain = left >= 0 and right <= width and top >= 0 and bottom <= height and math.isfinite(sum(outline))
    if plain and right - left > WIDE * width and bottom - top > WIDE * height:
        return list(outline)  # most are so; numpy would take most of the time of reading a large export
    points = np.array(outline, dtype=np.float64).reshape(-1, 2)
    inside(np.concatenate([points.min(0), points.max(0)])[None], size, where, "outline")
    return points.clip(0, size).ravel().tolist()


def boxes_around(regions: Iterable[LabeledRegion]) -> tuple[LabeledBox, ...]:
    """The upright box around the pixels of each region; a region without pixels has none."""
    found = ((region.label, coco_mask.toBbox(region.mask).tolist()) for region in regions)
    return tuple(
        LabeledBox(label, left, top, left + width, top + height)
        for label, (left, top, width, height) in found
        if width and height
    )


def encoded(pixels: Bool[np.ndarray, "h w"]) -> Mask:
    """The run lengths of a mask."""
    return coco_mask.encode(np.asfortranarray(pixels, dtype=np.uint8))


def decoded(mask: Mask) -> Bool[np.ndarray, "h w"]:
    """The pixels of a mask that `encoded`, `outlined` or `from_runs` gave."""
    return coco_mask.decode(mask).astype(bool)


def from_runs(counts: object, size: tuple[int, int] | None, where: str) -> Mask:
    """A mask from COCO's run lengths, as a list of numbers or in COCO's compressed text.

    Args:
        counts: down the columns, beginning with a run of pixels outside of the mask.
        size: width and height of the image.
        where: names the image and the object in a message.

    Raises:
        DataError: the size is not known, or the runs are not as many pixels as the image has.
    """
    width, height = known_size(size, where)
    runs = _uncompressed(counts) if isinstance(counts, str | bytes) else counts
    numbers = isinstance(runs, list) and all(isinstance(run, int) and run >= 0 for run in runs)
    require(numbers, f"{where}: its mask is no list of run lengths", "export it again")
    total = sum(runs) if isinstance(runs, list) else 0
    require(
        total == width * height,
        f"{where}: its mask has {total:,} pixels, and the image has {width}x{height}",
        "put the mask there that is of this image",
    )
    return coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)


def inside_box(runs: Sequence[int], box: tuple[int, int, int, int], size: tuple[int, int], where: str) -> Mask:
    """A mask from run lengths along the rows of a box, beginning with a run of pixels outside of the mask.

    Args:
        runs: the run lengths.
        box: left, top, width and height in pixels.
        size: width and height of the image.
        where: names the image and the object in a message.

    Raises:
        DataError: the box does not lie inside the image, or has another number of pixels than the runs.
    """
    left, top, wide, high = box
    width, height = known_size(size, where)
    fits = min(left, top) >= 0 and min(wide, high) > 0 and left + wide <= width and top + high <= height
    require(
        fits,
        f"{where}: its mask, {wide}x{high} pixels from ({left}, {top}), lies outside its image of {width}x{height} pixels",
    )
    total = sum(runs)
    require(
        total == wide * high and min(runs, default=0) >= 0,
        f"{where}: its mask has {total:,} pixels, and its box {wide}x{high}",
        "export it again",
    )
    pixels = np.zeros((height, width), dtype=bool)
    values = np.arange(len(runs)) % 2 == 1
    pixels[top : top + high, left : left + wide] = np.repeat(values, runs).reshape(high, wide)
    return encoded(pixels)


def runs_of(values: Bool[np.ndarray, " n"]) -> list[int]:
    """Lengths of the runs of equal values, beginning with a run of False, which may have length 0."""
    changes = np.flatnonzero(np.diff(values.astype(np.int8))) + 1
    runs = np.diff(np.concatenate([[0], changes, [len(values)]])).tolist()
    return [0, *runs] if len(values) and values[0] else runs


def bounds(pixels: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the smallest box around a mask that is not empty."""
    columns, rows = np.flatnonzero(pixels.any(0)), np.flatnonzero(pixels.any(1))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def checked_points(points: Float[np.ndarray, "p 2"], size: tuple[int, int] | None, where: str) -> None:
    """Raise a DataError where a point is not finite, or lies beyond the image by more than a pixel."""
    limits = (np.inf, np.inf) if size is None else size
    for x, y in points:
        finite = math.isfinite(x) and math.isfinite(y)
        near = finite and -1 <= x <= limits[0] + 1 and -1 <= y <= limits[1] + 1
        image = "its image" if size is None else f"its image of {size[0]}x{size[1]} pixels"
        require(near, f"{where}: the point ({x:g}, {y:g}) lies outside {image}", "correct or remove it")


def known_size(size: tuple[int, int] | None, where: str) -> tuple[int, int]:
    """The size of an image with a mask; a DataError where it is missing, or too large to be held."""
    if size is None:
        fault = f"{where}: a mask needs the image's width and height, which are missing"
        raise DataError(fault, "export it with them")
    require(
        size[0] * size[1] <= MOST_PIXELS,
        f"{where}: its image has {size[0]}x{size[1]} pixels, more than {MOST_PIXELS:,}",
    )
    return size


def _uncompressed(counts: str | bytes) -> list[int] | None:
    """COCO's compressed run lengths as numbers; None where the text is none.

    A number is written in groups of five bits, lowest first, each as a character from 48 on; 32 says that more follow. The last
    group's highest bit is the sign. From the fourth number on each is written less the one two places before it.
    """
    characters = counts.encode() if isinstance(counts, str) else counts
    runs: list[int] = []
    number = shift = 0
    for character in characters:
        group = character - 48
        if not 0 <= group < 64:  # noqa: PLR2004 - six bits
            return None
        number |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        number -= (group & 16) << 1 << (shift - 5)
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))  # noqa: PLR2004 - from the fourth number on
        number = shift = 0
    return None if shift else runs
