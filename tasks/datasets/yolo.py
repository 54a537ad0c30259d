"""Objects in the form that YOLO's trainers read: a YAML file, folders of images, and a text file of boxes for each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from lossbench.files import decoded_text, shown
from tasks.datasets.objects import Objects, ObjectSplit, check_names, clipped, inside, say_cut
from tasks.errors import DataError, read_data, require, require_path
from tasks.images.decoding import SUFFIXES, image_size
from tasks.images.folders import files_below, images_among

BOX_NUMBERS = 4
"""Of a line after its class: center and size. Outlines have more: x and y of each of their points."""
CORNERS = 4
"""Of a turned box."""


class YoloSet(NamedTuple):
    """What the YAML file says."""

    path: Path
    class_names: tuple[str, ...]
    pool: tuple[Path, ...]
    """Image files."""
    test: tuple[Path, ...]


def read_yolo(path: Path) -> YoloSet:
    """Read a YAML file with `names`, `train` and `test` or `val`, and list its images.

    `path` in it is the folder that the others count from; itself it counts from the folder of the file. `train`, `val` and
    `test` are folders of images, text files with one image in each line, or lists of both.

    Raises:
        DataError: the file is missing or malformed, or a split has no image or one that is missing.
    """
    table = read_yaml(path)
    held_out = "test" if table.content.get("test") else "val"
    splits = []
    for split in ("train", held_out):
        require(
            table.content.get(split),
            f"{path} has no {split!r}",
            "name a folder of images for train and for val or test",
        )
        files = listed_images(table.root, table.content[split], f"{path}: {split}")
        require(files, f"{path}: {split} has no image ({', '.join(SUFFIXES)})")
        splits.append(files)
    return YoloSet(path, table.class_names, *splits)


class YoloTable(NamedTuple):
    """The classes of a YAML file, and where its images are."""

    class_names: tuple[str, ...]
    root: Path
    """That folders and lists of images count from."""
    content: dict[str, Any]


def read_yaml(path: Path) -> YoloTable:
    """Read a YAML file with `names`, whatever splits it has.

    Raises:
        DataError: the file is missing or malformed.
    """
    try:
        content: Any = yaml.safe_load(decoded_text(read_data(path, "the YOLO file")))
    except (ValueError, yaml.YAMLError) as error:
        fault = f"the YOLO file {path} cannot be read ({' '.join(str(error).split())[:200]})"
        raise DataError(fault, "write names, train and val there") from None
    require(isinstance(content, dict), f"{path} is no YOLO file: it holds no table", "write names, train and val there")
    given = content.get("names")
    require("kpt_shape" not in content, f"{path} is a set of poses", "export them in COCO's form")
    names = list(given.values()) if isinstance(given, dict) else given
    in_order = not isinstance(given, dict) or list(given) == list(range(len(given)))
    fits = isinstance(names, list) and all(isinstance(name, str) for name in names) and in_order
    require(fits, f"{path}: names is {shown(given)}", "list the classes, or number them from 0 without gaps")
    check_names(names or [], str(path))
    return YoloTable(tuple(names or ()), path.parent / str(content.get("path") or "."), content)


def load_yolo(files: Sequence[Path], names: Sequence[str], classes: Sequence[str], *, need_object: bool) -> ObjectSplit:
    """The objects of some images. An image without a text file shows none, as in YOLO's trainers.

    Args:
        files: of the images; the last folder `images` in their paths is `labels` in those of the text files.
        names: of the class numbers in the text files.
        classes: class names; objects of other classes count as background.
        need_object: leave out images without an object of these classes.

    Raises:
        DataError: an image cannot be read, or a line is no class and box within the image.
    """
    kept: list[tuple[Path, Objects]] = []
    cut = 0
    for file in files:
        size = image_size(file, "an image of the YOLO file")
        text = labels_of(file)
        labels, corners = objects_of(text, len(names), size) if text.exists() else ([], np.zeros((0, 4)))
        rows = [row for row, label in enumerate(labels) if names[label] in classes]
        if need_object and not rows:
            continue
        border = inside(corners[rows], size, str(text))
        cut += border.cut
        found = np.array([classes.index(names[labels[row]]) for row in rows], np.int64)
        kept.append((file, Objects(border.boxes, found, np.zeros(len(rows), bool), *size)))
    say_cut(cut)
    require(kept, "no image shows one of the classes", "change task.data.classes")
    return ObjectSplit(tuple(file for file, _ in kept), tuple(each for _, each in kept))


def labels_of(image: Path) -> Path:
    """The text file of an image: in the folder `labels` beside the last `images` of its path, or else beside the image."""
    parts = list(image.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    beside = image.with_suffix(".txt")
    if places:
        parts[places[-1]] = "labels"
    elsewhere = Path(*parts).with_suffix(".txt")
    return beside if beside.exists() and not elsewhere.exists() else elsewhere


def listed_images(root: Path, given: object, where: str) -> tuple[Path, ...]:
    """The image files of a split: of a folder, of a text file, or of a list of both."""
    if isinstance(given, list):
        return tuple(file for each in given for file in listed_images(root, each, where))
    require(isinstance(given, str), f"{where} is {shown(given)}", "write a folder, a text file or a list of them")
    outside = root / str(given)
    inside = root / str(given).removeprefix("../")  # Roboflow writes ../train for a folder beside the file
    place = inside if inside.exists() and not outside.exists() else outside
    require_path(place, f"{where}, {given},", "correct the path in the YAML file, or put the images there")
    if place.is_dir():
        return tuple(images_among(files_below(place), place))
    lines = _lines(place, where)
    return tuple(
        place.parent / line.strip() if line.startswith("./") else root / line.strip() for line in lines if line.strip()
    )


def objects_of(text: Path, classes: int, size: tuple[int, int]) -> tuple[list[int], np.ndarray]:
    """Class indices, and corners in pixels, of the lines of a text file.

    Args:
        text: the file.
        classes: number of classes.
        size: width and height of the image.

    Raises:
        DataError: a line is no class and box, or no class and outline.
    """
    labels, corners = [], []
    for number, line in enumerate(_lines(text, "the boxes of an image"), start=1):
        where, words = f"{text}, line {number}", line.split()
        if not words:
            continue
        try:
            label, numbers = int(words[0]), np.array([float(word) for word in words[1:]])
        except ValueError:
            fault = f"{where} is {shown(line)}"
            raise DataError(
                fault, "write a class number, and the box's center and size as shares of the image"
            ) from None
        outline = len(numbers) > BOX_NUMBERS and len(numbers) % 2 == 0
        require(
            len(numbers) == BOX_NUMBERS or outline, f"{where} has {len(words)} numbers", "a class and four belong there"
        )
        require(0 <= label < classes, f"{where} has the class {label}", f"classes are 0 to {classes - 1}")
        labels.append(label)
        corners.append(_around(numbers.reshape(-1, 2) * size, size) if outline else _box(numbers) * (size * 2))
    return labels, np.array(corners).reshape(-1, 4)


def _box(numbers: np.ndarray) -> np.ndarray:
    """Corners of a box from its center and size, in shares of the image as these are."""
    return np.concatenate([numbers[:2] - numbers[2:] / 2, numbers[:2] + numbers[2:] / 2])


def _around(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The upright box around an outline, in pixels; around a turned box the part of it inside the image."""
    left, top, right, bottom = (*points.min(0).tolist(), *points.max(0).tolist())
    box = (left, top, right, bottom)
    return np.array(clipped(box, size) if _is_turned(points) else box)


def _is_turned(points: np.ndarray) -> bool:
    """Whether an outline is a rectangle whose sides are not upright, within a pixel: sets of turned boxes have these."""
    if len(points) != CORNERS or not np.isfinite(points).all():
        return False
    sides = points - np.roll(points, 1, axis=0)
    same = np.abs(points[0] + points[2] - points[1] - points[3]).max() < 1
    return bool(same and np.abs(sides).min(1).max() >= 1)


def _lines(path: Path, description: str) -> list[str]:
    content = read_data(path, description)
    try:
        return decoded_text(content).splitlines()
    except ValueError as error:
        fault = f"{path} is {error}"
        raise DataError(fault) from None
