"""Where a pose protocol's persons come from."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from tasks.datasets.coco.persons import load_persons, read_persons
from tasks.datasets.labeled.folder import LabeledImages, load_labeled
from tasks.datasets.labeled.points import labeled_persons
from tasks.datasets.mpii import load_list
from tasks.datasets.persons import PoseList
from tasks.datasets.scenes import MPII_LAYOUT, materialize
from tasks.datasets.splits import require_apart
from tasks.errors import advising, require
from tasks.pose.settings import CocoPersons, PoseData


class Source(NamedTuple):
    """The persons of a protocol."""

    pool: PoseList
    test: PoseList
    advice: str | None = None
    """What to do where an image is damaged, if not what its reader says."""


def source_of(settings: PoseData, data: Path, cache: Path) -> Source:
    """Read the persons of a protocol.

    Args:
        settings: the table `task.data`.
        data: the data folder.
        cache: where scenes are rendered.

    Raises:
        DataError: a file is missing or malformed, an image is in both splits, or the splits have other joints.
    """
    if settings.labeled:
        pool, test = _labeled(load_labeled(settings.labeled, data, "points"))
        return Source(pool, test)
    root = materialize(MPII_LAYOUT, settings.scenes, cache) if settings.scenes else data
    advice = f"delete {root}: it is rendered again" if settings.scenes else None
    with advising(advice):
        pool, test = _coco(settings.coco, data, settings.frame) if settings.coco else _mpii(settings, root)
        require_apart(*((crop.file for crop in part.crops) for part in (pool, test)))
    return Source(pool, test, advice)


def _mpii(settings: PoseData, root: Path) -> tuple[PoseList, PoseList]:
    read = partial(load_list, root / settings.images, center_shift=settings.center_shift, frame=settings.frame)
    return read(root / settings.pool, need_head=False), read(root / settings.test, need_head=True)


def _labeled(found: LabeledImages) -> tuple[PoseList, PoseList]:
    pool, test = (labeled_persons(found, part) for part in found.parts)
    return pool, test


def _coco(files: CocoPersons, data: Path, frame: float) -> tuple[PoseList, PoseList]:
    pool = load_persons(read_persons(data / files.pool), data / files.pool_images, files.category, frame)
    test = load_persons(read_persons(data / files.test), data / files.test_images, files.category, frame)
    same = pool.skeleton == test.skeleton
    require(same, f"{data / files.pool} and {data / files.test} have other joints or limbs", "export both alike")
    return pool, test
