"""PASCAL VOC in the official `VOCdevkit` layout, and any data set in the same form."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
from jaxtyping import Bool, Float, Int

from tasks.errors import DataError, require, require_path


class Objects(NamedTuple):
    """The annotation of one image: its objects, possibly none."""

    boxes: Float[np.ndarray, "b 4"]
    """Left, top, right, bottom in [0, 1] over the image: the outer borders of the outermost pixels."""
    labels: Int[np.ndarray, " b"]
    """Class indices."""
    difficult: Bool[np.ndarray, " b"]
    """Never a training target; in the metrics neither a miss nor a false alarm (VOC development kit, section 4.4)."""
    width: int
    """Of the image, in pixels."""
    height: int


class VocSplit(NamedTuple):
    """The images of some lists, such as `2007/trainval`, and the objects of each."""

    files: tuple[Path, ...]
    objects: tuple[Objects, ...]


def load_split(devkit: Path, lists: Sequence[str], classes: Sequence[str], *, need_object: bool) -> VocSplit:
    """Read the annotations of all images of some lists.

    Args:
        devkit: the folder `VOCdevkit`.
        lists: YEAR/SET each, for instance ("2007/trainval", "2012/trainval").
        classes: class names; objects of other classes count as background.
        need_object: leave out images without an object of these classes that is not difficult.

    Raises:
        DataError: a list, an annotation or an image is missing, or an annotation is malformed.
    """
    files, objects = [], []
    for image_list in lists:
        year, name = image_list.split("/")
        root = require_path(devkit / f"VOC{year}", f"VOC {year}")
        list_file = root / "ImageSets/Main" / f"{name}.txt"
        stems = require_path(list_file, f"the list {image_list}").read_text().split()
        require(stems, f"the list {list_file} names no image")
        for stem in stems:
            annotation = read_objects(root / "Annotations" / f"{stem}.xml", classes)
            if need_object and annotation.difficult.all():
                continue
            files.append(require_path(root / "JPEGImages" / f"{stem}.jpg", "an image of VOC"))
            objects.append(annotation)
    return VocSplit(tuple(files), tuple(objects))


def read_objects(path: Path, classes: Sequence[str]) -> Objects:
    """Read one annotation file.

    Raises:
        DataError: the file is missing or malformed, or a box lies outside its image or has no area.
    """
    try:
        root = ET.parse(require_path(path, "an annotation of VOC")).getroot()  # noqa: S314 - expat expands nothing external
        width, height = (int(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
    except (ET.ParseError, ValueError) as error:
        msg = f"{path} is not a VOC annotation ({error}); fetch the data again"
        raise DataError(msg) from None
    elements = [element for element in root.findall("object") if element.findtext("name") in classes]
    corners = np.array([_corners(element, path) for element in elements], dtype=np.float64).reshape(-1, 4)
    for box in corners:
        inside = (box >= 0).all() and (box <= [width, height, width, height]).all()
        require(inside, f"{path}: the box {_text(box)} lies outside its image of {width}x{height} pixels; correct it")
        require((box[2:] > box[:2]).all(), f"{path}: the box {_text(box)} has no area; correct or remove it")
    return Objects(
        (corners / [width, height, width, height]).astype(np.float32),
        np.array([classes.index(element.findtext("name", "")) for element in elements], dtype=np.int64),
        np.array([element.findtext("difficult", "0").strip() == "1" for element in elements], dtype=bool),
        width,
        height,
    )


def _corners(element: ET.Element, path: Path) -> tuple[float, float, float, float]:
    """Pixel borders, counting from 0. VOC's coordinates are 1-based and include the last pixel."""
    texts = [element.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (float(text or "") for text in texts)
    except ValueError:
        msg = f"{path}: an object's bndbox is {texts}, not four numbers; correct it"
        raise DataError(msg) from None
    return left - 1, top - 1, right, bottom


def _text(box: np.ndarray) -> str:
    """A box as the annotation file writes it."""
    left, top, right, bottom = box
    return f"xmin={left + 1:g} ymin={top + 1:g} xmax={right:g} ymax={bottom:g}"


def fingerprint(split: VocSplit) -> str:
    """SHA-256 over the names and objects of all images."""
    digest = hashlib.sha256()
    for file, objects in zip(split.files, split.objects, strict=True):
        digest.update(f"{file.parent.parent.name}/{file.name}".encode())
        for values in (objects.boxes, objects.labels, objects.difficult):
            digest.update(values.tobytes())
    return digest.hexdigest()
