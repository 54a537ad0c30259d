"""PASCAL VOC in the official `VOCdevkit` layout, and any data set in the same form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from lossbench.files import decoded_text, shown
from tasks.datasets.objects import Objects, ObjectSplit
from tasks.datasets.xml_files import xml_root
from tasks.errors import DataError, read_data, require, require_path
from tasks.images.decoding import image_size

ABSENT, CLASS_MARKS = "-1", {"-1", "0", "1"}
"""In lists of one class: the class is not shown, only by difficult objects, or shown."""
MANY = 2
"""From so many elements on, it is not clear which of them counts."""


def load_split(devkit: Path, lists: Sequence[str], classes: Sequence[str], *, need_object: bool) -> ObjectSplit:
    """Read the annotations of all images of some lists.

    Args:
        devkit: the folder `VOCdevkit`.
        lists: YEAR/SET each, for instance ("2007/trainval", "2012/trainval"). Of a list of one class, such as
            "2007/car_trainval", the images count that show the class.
        classes: class names; objects of other classes count as background.
        need_object: leave out images without an object of these classes that is not difficult.

    Raises:
        DataError: a list, an annotation or an image is missing or malformed, names an image twice or of another size, or no
            image remains.
    """
    files, objects, seen = [], [], set()
    for root, stem, list_file in _listed(devkit, lists):
        require((root, stem) not in seen, f"{list_file} names the image {stem} twice", "remove one of the two lines")
        seen.add((root, stem))
        file = root / "JPEGImages" / f"{stem}.jpg"
        annotation = read_objects(root / "Annotations" / f"{stem}.xml", classes)
        if need_object and annotation.difficult.all():
            continue
        files.append(file)
        objects.append(_of_size(annotation, image_size(file, "an image of VOC"), file))
    require(files, f"no image of {', '.join(lists)} shows one of the classes", "change task.data.classes, or the lists")
    return ObjectSplit(tuple(files), tuple(objects))


def _listed(devkit: Path, lists: Sequence[str]) -> Iterator[tuple[Path, str, Path]]:
    """For each image of these lists the folder of its year, its name without a suffix, and the file of the list."""
    for image_list in lists:
        year, name = image_list.split("/")
        root = require_path(devkit / f"VOC{year}", f"VOC {year}")
        list_file = root / "ImageSets/Main" / f"{name}.txt"
        content = read_data(list_file, f"the list {image_list}")
        try:
            lines = [line.split() for line in decoded_text(content).splitlines() if line.strip()]
        except ValueError as error:
            fault = f"the list {list_file} is {error}"
            raise DataError(fault) from None
        require(lines, f"the list {list_file} names no image", "write a name without a suffix into each line")
        for stem, *marks in lines:
            right = re.fullmatch(r"\w[\w.-]*", stem) and len(marks) <= 1 and set(marks) <= CLASS_MARKS
            require(
                right,
                f"the list {list_file} has the line {shown(' '.join([stem, *marks]))}",
                "write one name without a suffix and without a folder into each line",
            )
            if marks != [ABSENT]:
                yield root, stem, list_file


def _of_size(objects: Objects, size: tuple[int, int], file: Path) -> Objects:
    """The objects of an image of this size.

    Where the annotation gives the same width and height in exchange, as some of VOC's are said to, the pixels are right.
    """
    given = (objects.width, objects.height)
    if given == size:
        return objects
    boxes = objects.boxes * (np.array(given * 2, dtype=np.float32) / np.array(size * 2, dtype=np.float32))
    require(
        given == size[::-1] and (boxes <= 1 + 1e-6).all(),
        f"{file} has {size[0]}x{size[1]} pixels, and its annotation says {given[0]}x{given[1]}",
        "correct the annotation or put the image there that it is of",
    )
    return objects._replace(boxes=boxes.clip(0, 1), width=size[0], height=size[1])


def read_objects(path: Path, classes: Sequence[str]) -> Objects:
    """Read one annotation file.

    Raises:
        DataError: the file is missing or malformed, or a box lies outside its image or has no area.
    """
    root = annotation_root(path)
    width, height = (_side(root, side, path) for side in ("width", "height"))
    names = [(element.findtext("name") or "").strip() for element in root.findall("object")]
    require(all(names), f"{path}: an object has no name", "name its class, or remove it")
    elements = [element for element, name in zip(root.findall("object"), names, strict=True) if name in classes]
    corners = np.array([corners_of(element, path) for element in elements], dtype=np.float64).reshape(-1, 4)
    boxes = (corners / [width, height, width, height]).astype(np.float32)
    for box, (left, top, right, bottom) in zip(corners, boxes, strict=True):
        inside = (box >= 0).all() and (box <= [width, height, width, height]).all()
        require(inside, f"{path}: the box {_text(box)} lies outside its image of {width}x{height} pixels", "correct it")
        require(right > left and bottom > top, f"{path}: the box {_text(box)} has no area", "correct or remove it")
    return Objects(
        boxes,
        np.array([classes.index(name) for name in names if name in classes], dtype=np.int64),
        np.array([_difficult(element, path) for element in elements], dtype=bool),
        width,
        height,
    )


def annotation_root(path: Path, advice: str = "fetch the data again") -> ET.Element:
    """The XML of one annotation file.

    Args:
        path: of the file.
        advice: what to do with a file that is none.

    Raises:
        DataError: the file is missing or malformed, or gives something twice.
    """
    root = xml_root(path, "annotation", "a VOC annotation", advice)
    objects = root.findall("object")
    for parent, name in [
        (root, "size"),
        *((each, name) for each in objects for name in ("name", "difficult", "bndbox")),
    ]:
        require(len(parent.findall(name)) < MANY, f"{path}: <{parent.tag}> has <{name}> twice", "remove one of the two")
    return root


def _side(root: ET.Element, side: str, path: Path) -> int:
    text = (root.findtext(f"size/{side}") or "").strip()
    wanted = re.fullmatch(r"[0-9]{1,5}", text) and int(text) > 0
    require(wanted, f"{path} is not a VOC annotation (size/{side} is {shown(text)})", "write the image's pixels there")
    return int(text)


def _difficult(element: ET.Element, path: Path) -> bool:
    text = element.findtext("difficult", "0").strip()
    require(text in {"0", "1"}, f"{path}: an object's difficult is {shown(text)}", "write 0 or 1")
    return text == "1"


def corners_of(element: ET.Element, path: Path) -> tuple[float, float, float, float]:
    """Pixel borders, counting from 0. VOC's coordinates are 1-based and include the last pixel."""
    texts = [(element.findtext(f"bndbox/{side}") or "").strip() for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (float(text if re.fullmatch(r"[0-9a-z.+-]+", text) else "") for text in texts)
    except ValueError:
        fault = f"{path}: an object's bndbox is {shown(texts)}, not four numbers"
        raise DataError(fault, "correct it") from None
    return left - 1, top - 1, right, bottom


def _text(box: np.ndarray) -> str:
    """A box as the annotation file writes it."""
    left, top, right, bottom = box
    return f"xmin={left + 1:g} ymin={top + 1:g} xmax={right:g} ymax={bottom:g}"
