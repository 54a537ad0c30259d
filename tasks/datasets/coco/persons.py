"""Persons, or anything with joints, in COCO's JSON form: the joints, their limbs and their sides come from the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from lossbench.words import plural, suggestion
from tasks.datasets.coco.boxes import Annotation
from tasks.datasets.coco.file import Category, CocoFile, read_entries
from tasks.datasets.objects import inside
from tasks.datasets.persons import Crop, Person, PoseList, Skeleton
from tasks.errors import require
from tasks.notices import notice
from tasks.settings import Number, Whole

MOST_JOINTS = 1000
LARGEST_VISIBILITY = 2
SIDES = (("left", "right"), ("right", "left"))


class JointedCategory(Category):
    """An entry of `categories`."""

    keypoints: tuple[str, ...] = Field(default=(), max_length=MOST_JOINTS)
    """The names of the joints; a category without joints has none."""
    skeleton: tuple[tuple[Whole, Whole], ...] = ()
    """Limbs: pairs of joints, which count from 1."""


class JointedAnnotation(Annotation):
    """An entry of `annotations`."""

    keypoints: tuple[Number, ...] = ()
    """x, y and visibility of each joint: 0 is not annotated, 1 hidden, 2 seen."""


Persons = CocoFile[JointedAnnotation, JointedCategory]


def read_persons(path: Path) -> Persons:
    """Read a file with joints; raises as `read_entries`."""
    return read_entries(path, JointedAnnotation, JointedCategory)


def load_persons(file: Persons, folder: Path, category: str | None, frame: float) -> PoseList:
    """The persons of a file. Those without a labeled joint in their frame, and crowds, are left out, which one line says.

    The frame is a square around the middle of a person's box, as top-down models read it (Xiao et al. 2018): its side is
    `frame` times the longer side of the box. Joints are at the centers of pixels, which count from 0.

    Args:
        file: as `read_persons` gives it.
        folder: that `file_name` counts from.
        category: whose joints; None if one category alone has joints.
        frame: side of the frame over the longer side of the box.

    Raises:
        DataError: no category has joints, or several have; a list of joints has another length or visibility; a box or a
            limb is wrong; an image is missing or of another size; no person is left.
    """
    chosen = _chosen(file, category)
    skeleton = _skeleton(chosen, f"{file.path}: the category {chosen.name!r}")
    annotations, kept = file.by_image(), list[tuple[Crop, Person]]()
    crowds = bare = 0
    for image in file.images:
        mine = [each for each in annotations[image.id] if each.category_id == chosen.id]
        crowds += sum(each.iscrowd for each in mine)
        persons = [each for each in mine if not each.iscrowd]
        if not persons:
            continue
        path, size = file.checked_image(image, folder), (image.width, image.height)
        for person in persons:
            found = _person(
                person, path, size, skeleton, frame, f"{file.path}, {image.file_name}, annotation {person.id}"
            )
            bare += found is None
            kept += [] if found is None else [found]
    if bare or crowds:
        left = f"{plural(bare, 'person')} without a labeled joint in the frame and {plural(crowds, 'crowd')}"
        notice(f"{file.path}: {left} left out, {plural(len(kept), 'person')} kept")
    require(kept, f"{file.path} has no person with a labeled joint", "label some")
    crops, persons = zip(*kept, strict=True)
    return PoseList(tuple(crops), tuple(persons), skeleton, file.digest)


def counterparts(joints: Sequence[str]) -> tuple[int, ...]:
    """For each joint the joint of the other side, whose name has `right` for `left`; the joint itself if there is none."""
    plain = [name.casefold() for name in joints]
    found = list(range(len(plain)))
    for index, name in enumerate(plain):
        for side, other in SIDES:
            twin = name.replace(side, other, 1)
            if side in name and twin in plain:
                found[index] = plain.index(twin)
                break
    return tuple(twin if found[twin] == index else index for index, twin in enumerate(found))


def _chosen(file: Persons, name: str | None) -> JointedCategory:
    """The category whose joints are read."""
    jointed = {each.name: each for each in file.categories if each.keypoints}
    require(jointed, f"no category of {file.path} has joints", "give one a list `keypoints` with their names")
    if name is None:
        fault = f"several categories of {file.path} have joints: {', '.join(jointed)}"
        require(len(jointed) == 1, fault, "name one in task.data.coco.category")
        (name,) = jointed
    require(name in jointed, f"{file.path} has no category {name!r} with joints", suggestion(name, jointed))
    return jointed[name]


def _skeleton(category: JointedCategory, where: str) -> Skeleton:
    joints = category.keypoints
    for name in joints:
        require(name.strip() and joints.count(name) == 1, f"{where} has the joint {name!r} twice, or without a name")
    for limb in category.skeleton:
        right = min(limb) >= 1 and max(limb) <= len(joints)
        require(right, f"{where} has a limb from joint {limb[0]} to {limb[1]}", f"joints are 1 to {len(joints)}")
    mirrored = counterparts(joints)
    if mirrored == tuple(range(len(joints))):
        notice(
            f"{where} has no joints of a left and a right side by their names: in mirrored images all keep their names"
        )
    return Skeleton(joints, mirrored, tuple((start - 1, end - 1) for start, end in category.skeleton))


def _person(
    given: JointedAnnotation, path: Path, size: tuple[int, int], skeleton: Skeleton, frame: float, where: str
) -> tuple[Crop, Person] | None:
    """The frame and the joints of a person; None if no labeled joint lies in the frame."""
    wanted = 3 * len(skeleton.joints)
    fits = len(given.keypoints) in {0, wanted}
    require(fits, f"{where} has {len(given.keypoints)} numbers for its joints, and {wanted} are needed", "correct it")
    corners = np.array([given.bbox], dtype=np.float64)
    corners[:, 2:] += corners[:, :2]
    ((left, top, right, bottom),) = inside(corners, size, where).corners
    longer = max(right - left, bottom - top)
    require(longer * frame >= 1, f"{where}: the frame has {longer * frame:g} pixels", "correct the box")
    joints = np.array(given.keypoints or [0.0] * wanted, dtype=np.float64).reshape(-1, 3)
    right_values = np.isin(joints[:, 2], range(LARGEST_VISIBILITY + 1)).all()
    require(right_values, f"{where}: the visibility of a joint is not 0, 1 or 2", "correct it")
    crop = Crop(path, (left + right) / 2, (top + bottom) / 2, longer * frame)
    places = (joints[:, :2] + 0.5 - [crop.x, crop.y]) / crop.side + 0.5
    visible = (joints[:, 2] > 0) & (places >= 0).all(1) & (places <= 1).all(1)
    places = np.where(visible[:, None], places, 0.0).astype(np.float32)
    return (crop, Person(places, visible, float("nan"), skeleton, 1 / frame)) if visible.any() else None
