"""Objects in COCO's JSON form (Lin et al. 2014), as annotation tools export it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lossbench.words import plural
from tasks.datasets.coco.file import Category, CocoFile, Entry, read_entries
from tasks.datasets.objects import Objects, ObjectSplit, inside, say_cut
from tasks.errors import require
from tasks.notices import notice
from tasks.settings import Number


class Annotation(Entry):
    """An object in a box."""

    bbox: tuple[Number, Number, Number, Number]
    """Left, top, width and height in pixels."""


def read_coco(path: Path) -> CocoFile[Annotation, Category]:
    """Read a file with objects in boxes; raises as `read_entries`."""
    return read_entries(path, Annotation, Category)


def load_coco(
    file: CocoFile[Annotation, Category], folder: Path, classes: Sequence[str], *, need_object: bool
) -> ObjectSplit:
    """The images of a file, and the objects of each. Crowds are `difficult`.

    Boxes without width or height, of which the official files have some, are left out, which is said.

    Args:
        file: as `read_coco` gives it.
        folder: that `file_name` counts from.
        classes: class names; objects of other classes count as background.
        need_object: leave out images without an object of these classes that is not difficult.

    Raises:
        DataError: an image is missing or of another size, an object is of an unknown image or category, or its box is wrong.
    """
    labels = {each.id: classes.index(each.name) for each in file.categories if each.name in classes}
    objects = file.by_image()
    kept: list[tuple[Path, Objects]] = []
    cut = empty = 0
    for image in file.images:
        wanted = [each for each in objects[image.id] if each.category_id in labels]
        mine = [each for each in wanted if all(each.bbox[2:])]
        empty += len(wanted) - len(mine)
        if need_object and all(each.iscrowd for each in mine):
            continue
        path, size = file.checked_image(image, folder), (image.width, image.height)
        corners = np.array([each.bbox for each in mine], dtype=np.float64).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        border = inside(corners, size, f"{file.path}, {image.file_name}")
        cut += border.cut
        crowds = np.array([bool(each.iscrowd) for each in mine], dtype=bool)
        numbers = np.array([labels[each.category_id] for each in mine], np.int64)
        kept.append((path, Objects(border.boxes, numbers, crowds, *size)))
    say_cut(cut, str(file.path))
    if empty:
        notice(f"{file.path}: {plural(empty, 'box', 'boxes')} without width or height left out")
    require(kept, f"no image of {file.path} shows one of the classes", "change task.data.classes")
    return ObjectSplit(tuple(path for path, _ in kept), tuple(each for _, each in kept))
