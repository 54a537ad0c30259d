"""Where a segmentation protocol's images and label maps come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from lossbench.words import suggestion
from tasks.datasets.coco.masks import CocoMasks, decode_regions, load_masks, read_regions
from tasks.datasets.labeled.folder import LabeledImages, load_labeled
from tasks.datasets.labeled.regions import labeled_maps
from tasks.datasets.masks import (
    MaskedImages,
    Numbering,
    cityscapes_numbering,
    decode_labels,
    joined,
    load_cityscapes,
    load_folder,
)
from tasks.datasets.scenes import MASK_CLASSES, MASK_FOLDERS, MASKS_LAYOUT, materialize
from tasks.datasets.splits import require_apart
from tasks.errors import advising, require
from tasks.images.files import ImageFile
from tasks.segmentation.settings import MOST_CLASSES, CityscapesData, CocoMaskData, FolderData
from tasks.settings import SceneSettings


class Split(NamedTuple):
    """The images of the pool or of the test."""

    images: tuple[ImageFile, ...]
    labels: Callable[[int], UInt8[np.ndarray, "n s s"]]
    """Gives their label maps, scaled to squares of a side. Raises a DataError where one is missing or malformed."""


class Source(NamedTuple):
    """The classes and images of a protocol."""

    class_names: tuple[str, ...]
    pool: Split
    test: Split
    advice: str | None = None
    """What to do where an image is damaged, if not what its reader says."""


def source_of(settings: FolderData | CityscapesData | CocoMaskData, data: Path, cache: Path) -> Source:
    """Look for a protocol's images.

    Args:
        settings: the table `task.data`.
        data: the data folder.
        cache: where scenes are rendered.

    Raises:
        DataError: a folder or a list is missing or malformed, or an image is in both splits.
    """
    if settings.scenes:
        source = _rendered(settings.scenes, cache)
    elif settings.labeled:
        source = _labeled(load_labeled(settings.labeled, data, "regions"))
    elif isinstance(settings, CityscapesData):
        root = data / settings.folder
        pool, test = (
            joined([load_cityscapes(root, name) for name in names]) for names in (settings.pool, settings.test)
        )
        source = _of_files(cityscapes_numbering(), pool, test)
    elif isinstance(settings, CocoMaskData):
        source = _coco(settings, data)
    else:
        pool, test = (
            joined([load_folder(data / each.images, data / each.masks, each.suffix) for each in folders])
            for folders in (settings.pool, settings.test)
        )
        source = _of_files(Numbering.of(settings.classes, settings.void), pool, test)
    require_apart(source.pool.images, source.test.images)
    return source


def _rendered(scenes: SceneSettings, cache: Path) -> Source:
    root = materialize(MASKS_LAYOUT, scenes, cache)
    advice = f"delete {root}: it is rendered again"
    with advising(advice):
        pool, test = (load_folder(root / images, root / masks) for images, masks in MASK_FOLDERS)
    return _of_files(Numbering.of(MASK_CLASSES, ()), pool, test)._replace(advice=advice)


def _of_files(numbering: Numbering, pool: MaskedImages, test: MaskedImages) -> Source:
    of_pool, of_test = (
        Split(split.images, partial(decode_labels, split, numbering=numbering)) for split in (pool, test)
    )
    return Source(numbering.classes, of_pool, of_test)


def _labeled(found: LabeledImages) -> Source:
    """A folder of images, some of them labeled."""
    pool, test = (Split(found.files[part], partial(labeled_maps, found, part)) for part in found.parts)
    return Source(_classes(found.class_names, None), pool, test)


def _coco(settings: CocoMaskData, data: Path) -> Source:
    pool, test = read_regions(data / settings.pool), read_regions(data / settings.test)
    same = pool.class_names == test.class_names
    fault = f"{pool.path} and {test.path} have other categories, or in another order"
    require(same, fault, "export both with the same categories")
    for name in settings.classes or ():
        require(
            name in pool.class_names,
            f"{pool.path} has no class {name!r} of task.data.classes",
            suggestion(name, pool.class_names),
        )
    classes = _classes(settings.classes or pool.class_names, settings.background)
    return Source(
        classes,
        _drawn(load_masks(pool, data / settings.pool_images, classes, settings.background)),
        _drawn(load_masks(test, data / settings.test_images, classes, settings.background)),
    )


def _classes(names: Sequence[str], background: str | None) -> tuple[str, ...]:
    """The classes, with that of the background first where it is none of the others."""
    classes = (background, *names) if background and background not in names else tuple(names)
    fault = f"there is one class alone, {classes[0]!r}"
    require(len(classes) > 1, fault, "name another, such as that of the background")
    fault = f"there are {len(classes)} classes, and a label map holds {MOST_CLASSES}"
    require(len(classes) <= MOST_CLASSES, fault, "name the classes in task.data.classes")
    return classes


def _drawn(split: CocoMasks) -> Split:
    return Split(split.images, partial(decode_regions, split))
