"""Regions in COCO's JSON form (Lin et al. 2014), as polygons or run lengths, drawn into label maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import Field

from lossbench.words import plural
from tasks.datasets.coco.file import Category, CocoFile, Entry, Table, read_entries
from tasks.datasets.masks import VOID, shrunk
from tasks.datasets.tools.shapes import decoded, from_runs, outlined
from tasks.errors import require
from tasks.notices import notice
from tasks.settings import Number, Whole


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
    drawn = region.segmentation
    if not isinstance(drawn, RunLengths):
        return decoded(outlined(drawn, (width, height), where))
    fault = f"{where}: the mask is of {drawn.size[1]}x{drawn.size[0]} pixels, and the image has {width}x{height}"
    require(drawn.size == (height, width), fault, "put the mask there that is of this image")
    counts = drawn.counts if isinstance(drawn.counts, str) else list(drawn.counts)
    return decoded(from_runs(counts, (width, height), where))
