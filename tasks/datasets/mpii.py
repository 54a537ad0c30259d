"""Human poses in the JSON form that HRNet and mmpose use for MPII, and any data set in the same form."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePath
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lossbench.files import first_fault, parsed_json
from tasks.datasets.names import MPII_JOINTS, MPII_LIMBS, MPII_MIRRORED
from tasks.datasets.persons import Crop, Person, PoseList, Skeleton
from tasks.errors import DataError, read_data, require
from tasks.images.decoding import image_size
from tasks.images.files import ImageFile
from tasks.settings import FileName, Number

MPII_SKELETON = Skeleton(MPII_JOINTS, MPII_MIRRORED, MPII_LIMBS)
PERSON_PIXELS = 200  # MPII gives the scale of a person relative to 200 pixels
LARGEST_JOINT = 1e6
"""Where a joint that is not visible may lie, in sides of the frame."""
FORM = "see the form of HRNet's MPII JSON"
Place = Annotated[Number, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
"""A coordinate in pixels."""
Sides = tuple[Place, Place, Place, Place]


def _with_area(sides: Sides) -> Sides:
    left, top, right, bottom = sides
    if right <= left or bottom <= top:
        msg = f"the box {sides} has no area"
        raise ValueError(msg)
    return sides


Coordinate = Annotated[float, Field(strict=True)]
"""Of a joint that may be invisible: any number."""
OfJoints = Field(min_length=len(MPII_JOINTS), max_length=len(MPII_JOINTS))


class Entry(BaseModel):
    """A person as the JSON file gives it. Other fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    image: FileName
    center: tuple[Place, Place]
    scale: Annotated[Number, Field(gt=0, le=1000, allow_inf_nan=False)]
    joints: Annotated[tuple[tuple[Coordinate, Coordinate], ...], OfJoints]
    joints_vis: Annotated[tuple[Annotated[float, Field(ge=0, le=2, multiple_of=1, allow_inf_nan=False)], ...], OfJoints]
    """0 for a joint that is not annotated; COCO's 1 and 2 count alike."""
    head_size: Annotated[Number, Field(ge=0, allow_inf_nan=False)] | None = None
    headbox: Annotated[Sides, AfterValidator(_with_area)] | None = None


def load_list(images: Path, annotations: Path, *, center_shift: float, need_head: bool, frame: float) -> PoseList:
    """Read the persons of an annotation file.

    Args:
        images: the folder of the images.
        annotations: the JSON file: a list of objects with image, center, scale, joints (16 x 2, 1-based), joints_vis,
            and head_size (pixels) or headbox (left, top, right, bottom), of which MPII takes 0.6 of the diagonal.
        center_shift: moves each center down by this many pixels per unit of scale.
        need_head: require a head size of every person.
        frame: side of the crop over the size of the person.

    Raises:
        DataError: the annotation file or an image is missing, an entry is malformed or given twice, or a person lies outside
            the image or has no visible joint or no required head size.
    """
    content = read_data(annotations, "the annotation file")
    try:
        entries = parsed_json(content)
    except ValueError as error:
        fault = f"{annotations} is not JSON ({error})"
        raise DataError(fault, "fetch the data again") from None
    require(isinstance(entries, list) and entries, f"{annotations}: expected a list of persons, got none", FORM)
    crops, persons, seen, sizes = [], [], {}, {}
    for number, given in enumerate(entries):
        entry = _entry(given, f"{annotations}, person {number}")
        where = f"{annotations}, person {number} ({entry.image})"
        twin = seen.setdefault(entry, number)
        require(twin == number, f"{where} is the same as person {twin}", "remove one of the two")
        crop, person = _read(entry, where, images, center_shift, frame)
        _check_place(crop, where, sizes)
        require(person.visible.any(), f"{where} has no visible joint in its frame", "remove this person")
        missing = need_head and not person.head_size > 0
        require(not missing, f"{where} has no head_size or headbox, and PCKh needs one", "add it")
        crops.append(crop)
        persons.append(person)
    return PoseList(tuple(crops), tuple(persons), MPII_SKELETON, hashlib.sha256(content).hexdigest())


def _entry(given: Any, where: str) -> Entry:
    try:
        entry = Entry.model_validate(given)
    except ValidationError as error:
        fault = f"{where}: {first_fault(error)}"
        raise DataError(fault, FORM) from None
    name = PurePath(entry.image)
    inside = not name.is_absolute() and ".." not in name.parts
    require(inside, f"{where}: the image {entry.image!r} lies outside of the folder of images", "put it there")
    return entry


def _read(entry: Entry, where: str, images: Path, center_shift: float, frame: float) -> tuple[Crop, Person]:
    """The crop and the annotation of one entry; `where` begins the messages of errors."""
    center = np.array(entry.center) + np.array([0, center_shift * entry.scale])
    pixels = np.array(entry.joints, dtype=np.float64)
    annotated = np.array(entry.joints_vis) > 0
    side = entry.scale * PERSON_PIXELS * frame
    require(np.isfinite(pixels[annotated]).all(), f"{where}: a visible joint is not finite", "correct it")
    head = _head_pixels(entry)
    person_pixels = entry.scale * PERSON_PIXELS
    misfit = 0 < head < 1 or head > person_pixels
    require(not misfit, f"{where}: a head of {head:g} pixels does not fit a person of {person_pixels:g}", "correct it")
    joints = np.where(annotated[:, None], (pixels - center) / side + 0.5, 0.0)
    visible = annotated & (joints >= 0).all(1) & (joints <= 1).all(1)
    crop = Crop(images / entry.image, center[0] - 0.5, center[1] - 0.5, side)
    joints = joints.clip(-LARGEST_JOINT, LARGEST_JOINT).astype(np.float32)
    return crop, Person(joints, visible, head / side, MPII_SKELETON)


def _check_place(crop: Crop, where: str, sizes: dict[ImageFile, tuple[int, int]]) -> None:
    """Raise a DataError if the frame shows nothing of the image.

    Args:
        crop: of a person.
        where: start of the message.
        sizes: of the images that have been looked at; an image often shows several persons.
    """
    if crop.file not in sizes:
        sizes[crop.file] = image_size(crop.file, "an image of a person")
    width, height = sizes[crop.file]
    left, top, right, bottom = crop.box(1.0)
    require(crop.side >= 1, f"{where}: the frame has {crop.side:g} pixels", "correct the scale")
    overlaps = left < width and top < height and right > 0 and bottom > 0
    require(
        overlaps,
        f"{where}: the center {crop.x + 0.5:g}, {crop.y + 0.5:g} is far outside of the image of {width}x{height} pixels",
        "correct it",
    )


def _head_pixels(entry: Entry) -> float:
    if entry.head_size is not None:
        return entry.head_size
    if entry.headbox is not None:
        left, top, right, bottom = entry.headbox
        return 0.6 * float(np.hypot(right - left, bottom - top))  # MPII's evaluation code
    return float("nan")
