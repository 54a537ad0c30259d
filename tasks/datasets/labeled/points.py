"""Images of one person each, whose joints were marked in an annotation tool."""

from __future__ import annotations

import numpy as np

from tasks.datasets.coco.persons import counterparts
from tasks.datasets.labeled.folder import LabeledImages, check_size
from tasks.datasets.persons import Crop, Person, PoseList, Skeleton
from tasks.datasets.tools.annotated import AnnotatedImage
from tasks.errors import require
from tasks.images.decoding import image_size


def whole_frame(size: tuple[int, int]) -> tuple[float, float, float]:
    """Center and side, in pixels, of the square around a whole image: its frame, as nobody says where the person is."""
    return size[0] / 2, size[1] / 2, float(max(size))


def labeled_persons(found: LabeledImages, places: slice) -> PoseList:
    """The person of each of some images; without a visible joint where nobody labeled the image.

    Joints of the two sides are known by `left` and `right` in their names.

    Args:
        found: the images.
        places: of those that are wanted.

    Raises:
        DataError: an image cannot be read or has another size than its labels say, shows several persons or a joint twice, or a
            joint lies outside of it.
    """
    skeleton = Skeleton(found.class_names, counterparts(found.class_names), ())
    crops, persons = [], []
    for path, label in zip(found.files[places], found.labels[places], strict=True):
        size = image_size(path)
        if label and label.size:
            check_size(path, size, label.size)
        crop = Crop(path, *whole_frame(size))
        crops.append(crop)
        persons.append(_person(label, crop, size, skeleton))
    return PoseList(tuple(crops), tuple(persons), skeleton, found.fingerprint)


def _person(label: AnnotatedImage | None, crop: Crop, size: tuple[int, int], skeleton: Skeleton) -> Person:
    points = label.points if label else ()
    several = len({point.person for point in points})
    require(several <= 1, f"{crop.file} shows {several} persons", "cut them apart: an image has one person here")
    joints = np.zeros((len(skeleton.joints), 2), np.float32)
    visible = np.zeros(len(joints), dtype=bool)
    for point in points:
        place = skeleton.joints.index(point.label)
        require(not visible[place], f"{crop.file} has the joint {point.label!r} twice", "remove one of them")
        inside = 0 <= point.x <= size[0] and 0 <= point.y <= size[1]
        fault = f"{crop.file}: the joint {point.label!r} at ({point.x:g}, {point.y:g}) lies outside"
        require(inside, fault, f"its image has {size[0]}x{size[1]} pixels")
        joints[place] = (point.x - crop.x) / crop.side + 0.5, (point.y - crop.y) / crop.side + 0.5
        visible[place] = True
    return Person(joints, visible, float("nan"), skeleton, 1.0)
