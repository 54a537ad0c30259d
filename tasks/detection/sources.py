"""Where a detection protocol's images and objects come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lossbench.words import suggestion
from tasks.datasets.coco.boxes import load_coco, read_coco
from tasks.datasets.labeled.folder import LabeledImages, load_labeled
from tasks.datasets.labeled.objects import labeled_objects
from tasks.datasets.names import VOC_CLASSES
from tasks.datasets.objects import ObjectSplit
from tasks.datasets.scenes import CLASSES as SCENE_CLASSES
from tasks.datasets.scenes import VOC_LAYOUT, materialize
from tasks.datasets.splits import require_apart
from tasks.datasets.voc import load_split
from tasks.datasets.yolo import load_yolo, read_yolo
from tasks.detection.settings import CocoFiles, DetectionData
from tasks.errors import advising, require
from tasks.settings import SceneSettings


class Splits(NamedTuple):
    """The images of a protocol, and the objects of each."""

    pool: ObjectSplit
    test: ObjectSplit
    advice: str | None = None
    """What to do where an image is damaged, if not what its reader says."""


class Source(NamedTuple):
    """The classes of a protocol, known before its images are read."""

    class_names: tuple[str, ...]
    read: Callable[[], Splits]
    """Raises a DataError where a file is missing or malformed, an image is in both splits, or a class is in none."""


def source_of(settings: DetectionData, data: Path, cache: Path) -> Source:
    """Look at the lists of a protocol's images.

    Args:
        settings: the table `task.data`.
        data: the data folder.
        cache: where scenes are rendered.

    Raises:
        DataError: a list is missing or malformed, two splits have other classes, or one of the protocol's is not listed.
    """
    if settings.scenes:
        return Source(SCENE_CLASSES, partial(_rendered, settings, settings.scenes, cache))
    if settings.labeled:
        return _labeled(load_labeled(settings.labeled, data, "boxes"))
    if settings.coco:
        return _coco(settings, settings.coco, data)
    if settings.yolo:
        return _yolo(settings, data / settings.yolo)
    return Source(settings.classes, lambda: _with_all(settings.classes, _voc(settings, data, settings.classes)))


def _rendered(settings: DetectionData, scenes: SceneSettings, cache: Path) -> Splits:
    """Rendered scenes; a few of them may lack a class."""
    root = materialize(VOC_LAYOUT, scenes, cache)
    advice = f"delete {root}: it is rendered again"
    with advising(advice):
        return _voc(settings, root, SCENE_CLASSES)._replace(advice=advice)


def _voc(settings: DetectionData, root: Path, classes: Sequence[str]) -> Splits:
    read = partial(load_split, root / "VOCdevkit", classes=classes, need_object=settings.need_object)
    return _apart(read(settings.pool), read(settings.test))


def _labeled(found: LabeledImages) -> Source:
    """A folder of images, some of them labeled."""

    def read() -> Splits:
        objects = labeled_objects(found)
        pool, test = (ObjectSplit(found.files[part], objects[part]) for part in found.parts)
        splits = Splits(pool, test)
        return _with_all(found.class_names, splits) if test.files else splits

    return Source(found.class_names, read)


def _coco(settings: DetectionData, files: CocoFiles, data: Path) -> Source:
    pool, test = read_coco(data / files.pool), read_coco(data / files.test)
    same = pool.class_names == test.class_names
    fault = f"{pool.path} and {test.path} have other categories, or in another order"
    require(same, fault, "export both with the same categories")
    classes = _chosen(settings, pool.class_names, pool.path)
    read = partial(load_coco, classes=classes, need_object=settings.need_object)
    folders = data / files.pool_images, data / files.test_images
    return Source(classes, lambda: _with_all(classes, _apart(read(pool, folders[0]), read(test, folders[1]))))


def _yolo(settings: DetectionData, path: Path) -> Source:
    found = read_yolo(path)
    classes = _chosen(settings, found.class_names, path)
    read = partial(load_yolo, names=found.class_names, classes=classes, need_object=settings.need_object)
    return Source(classes, lambda: _with_all(classes, _apart(read(found.pool), read(found.test))))


def _apart(pool: ObjectSplit, test: ObjectSplit) -> Splits:
    require_apart(pool.files, test.files)
    return Splits(pool, test)


def _with_all(classes: Sequence[str], splits: Splits) -> Splits:
    shown = {int(label) for objects in splits.pool.objects + splits.test.objects for label in objects.labels}
    absent = [name for label, name in enumerate(classes) if label not in shown]
    fault = f"no image of the lists shows the class {min(absent, default='')!r}"
    require(not absent, fault, "correct task.data.classes, or the lists")
    return splits


def _chosen(settings: DetectionData, names: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """The classes that the protocol names, or all of the file's."""
    if settings.classes == VOC_CLASSES:
        return names
    for name in settings.classes:
        require(name in names, f"{path} has no class {name!r} of task.data.classes", suggestion(name, names))
    return settings.classes
