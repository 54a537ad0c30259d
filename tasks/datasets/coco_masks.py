"""Regions in COCO's JSON form (Lin et al. 2014), as polygons or run lengths, drawn into label maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from pycocotools import mask as coco_mask
from pydantic import Field

from lossbench.words import plural
from tasks.datasets.coco import Category, CocoFile, Entry, Table, read_entries
from tasks.datasets.masks import VOID, shrunk
from tasks.datasets.objects import MOST_BEYOND, ROUNDING
from tasks.errors import DataError, require
from tasks.notices import notice
from tasks.settings import Number, Whole

CORNERS = 3
MOST_BITS = 40
"""Of a run length: more than an image has pixels."""
FIRST_LETTER, DIGIT_BITS, MORE, NEGATIVE = 48, 5, 32, 16
"""Of COCO's run lengths as text: each letter has five bits of a number; one more says that it goes on. The last has its sign."""


class RunLengths(Table):
    """A mask: how many pixels are outside, then inside, then outside, ..., column by column."""

    size: tuple[Whole, Whole]
    """Height and width."""
    counts: tuple[Whole, ...] | str


class Region(Entry):
    """An entry of `annotations` with a region."""

    segmentation: tuple[tuple[Number, ...], ...] | RunLengths = Field(union_mode="left_to_right")
    """Polygons, x and y in turn, in pixels whose borders count from 0; or a mask."""


class CocoMasks(NamedTuple):
    """The images of a file, and what is drawn into the label map of each."""

    file: CocoFile[Region, Category]
    images: tuple[Path, ...]
    regions: tuple[tuple[Region, ...], ...]
    numbers: dict[int, int]
    """The class index of each category by its id; `VOID` or the background's where it is none of the classes."""
    uncovered: int
    """The class index of pixels outside of all regions, or `VOID`."""


def read_regions(path: Path) -> CocoFile[Region, Category]:
    """Read a file with regions; raises as `read_entries`."""
    return read_entries(path, Region, Category)


def load_masks(
    file: CocoFile[Region, Category], folder: Path, classes: Sequence[str], background: str | None
) -> CocoMasks:
    """The images of a file, and the regions of each.

    Args:
        file: as `read_regions` gives it.
        folder: that `file_name` counts from.
        classes: class names; regions of other classes count as uncovered.
        background: the class of pixels that no region covers; None if they are of no class.

    Raises:
        DataError: an image is missing or of another size, or a region is of an unknown image or category.
    """
    uncovered = VOID if background is None else classes.index(background)
    numbers = {each.id: classes.index(each.name) if each.name in classes else uncovered for each in file.categories}
    regions = file.by_image()
    images = tuple(file.checked_image(image, folder) for image in file.images)
    bare = sum(all(each.iscrowd or numbers[each.category_id] == VOID for each in mine) for mine in regions.values())
    if background is None and bare:
        notice(f"{file.path}: {plural(bare, 'image')} of {len(images):,} without a region of these classes")
    require(background is not None or bare < len(images), f"no image of {file.path} shows one of the classes")
    return CocoMasks(file, images, tuple(tuple(regions[image.id]) for image in file.images), numbers, uncovered)


def decode_regions(split: CocoMasks, side: int) -> UInt8[np.ndarray, "n s s"]:
    """The label maps of all images, scaled to squares.

    Of regions that overlap, the later one in the file is in front. Crowds are of no class.

    Raises:
        DataError: a region lies outside of its image, has no corners, or its run lengths do not fill the image.
    """
    return shrunk(_label_maps(split), len(split.images), side)


def _label_maps(split: CocoMasks) -> Iterator[UInt8[np.ndarray, "h w"]]:
    for image, regions in zip(split.file.images, split.regions, strict=True):
        labels = np.full((image.height, image.width), split.uncovered, np.uint8)
        for region in regions:
            where = f"{split.file.path}, {image.file_name}, annotation {region.id}"
            number = VOID if region.iscrowd else split.numbers[region.category_id]
            labels[_inside(region, image.height, image.width, where)] = number
        yield labels


def _inside(region: Region, height: int, width: int, where: str) -> Bool[np.ndarray, "h w"]:
    """Which pixels of its image a region covers."""
    if isinstance(region.segmentation, RunLengths):
        return _unrolled(region.segmentation, height, width, where)
    return _filled(region.segmentation, height, width, where)


def _filled(polygons: tuple[tuple[float, ...], ...], height: int, width: int, where: str) -> Bool[np.ndarray, "h w"]:
    """The pixels of polygons. What reaches beyond the image by a pixel at most is cut."""
    require(polygons, f"{where}: the segmentation is empty", "draw the region, or remove the annotation")
    cut = []
    for polygon in polygons:
        right = len(polygon) >= 2 * CORNERS and len(polygon) % 2 == 0
        require(right, f"{where}: a polygon has {len(polygon)} numbers", "it needs x and y of three corners or more")
        points, limits = np.array(polygon).reshape(-1, 2), np.array([width, height], np.float64)
        outside = float(np.maximum(-points, points - limits).max())
        fault = f"{where}: a polygon reaches {outside:g} pixels beyond its image of {width}x{height}"
        require(outside <= MOST_BEYOND + ROUNDING, fault, "correct it")
        cut.append(points.clip(0, limits).ravel().tolist())
    merged: Any = coco_mask.merge(coco_mask.frPyObjects(cut, height, width))
    return _unrolled(RunLengths(size=(height, width), counts=merged["counts"].decode()), height, width, where)


def _unrolled(runs: RunLengths, height: int, width: int, where: str) -> Bool[np.ndarray, "h w"]:
    """The pixels of a mask. Not by pycocotools, which reads and writes beyond its memory where run lengths are wrong."""
    right = runs.size == (height, width)
    fault = f"{where}: the mask is of {runs.size[1]}x{runs.size[0]} pixels, and the image has {width}x{height}"
    require(right, fault, "put the mask there that is of this image")
    counts = _numbers(runs.counts, where) if isinstance(runs.counts, str) else list(runs.counts)
    fills = min(counts, default=0) >= 0 and sum(counts) == height * width
    require(fills, f"{where}: the run lengths do not add up to {width}x{height} pixels", "export the file again")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T


def _numbers(text: str, where: str) -> list[int]:
    """The run lengths in COCO's text. From the fourth on, the text holds differences to the last but one."""
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - FIRST_LETTER
        require(
            0 <= bits < 2 * MORE and shift < MOST_BITS,
            f"{where}: the run lengths are not in COCO's text, at {letter!r}",
            "export the file again",
        )
        value |= (bits & (MORE - 1)) << shift
        shift += DIGIT_BITS
        if not bits & MORE:
            value -= (1 << shift) if bits & NEGATIVE else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))  # noqa: PLR2004
            value = shift = 0
    if shift:
        fault = f"{where}: the run lengths end within a number"
        raise DataError(fault, "export the file again")
    return counts
