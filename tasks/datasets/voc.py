"""PASCAL VOC from the official `VOCdevkit` layout, and any data set in the same form."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from tasks.base import DataError, existing, require


class Objects(NamedTuple):
    """The labeled objects of one image; there may be none."""

    boxes: Float[np.ndarray, "b 4"]
    """Left, top, right, bottom in [0, 1] over the image: the outer borders of the outermost pixels."""
    labels: Int[np.ndarray, " b"]
    difficult: Bool[np.ndarray, " b"]
    """Never a training target; in the metrics neither a miss nor a false alarm (VOC development kit, section 4.4)."""
    width: int
    height: int


class VocSplit(NamedTuple):
    """A list of images, such as `2007/trainval`."""

    files: tuple[Path, ...]
    objects: tuple[Objects, ...]


def load_split(devkit: Path, lists: Sequence[str], classes: Sequence[str], *, need_object: bool) -> VocSplit:
    """Images and objects of some lists, `YEAR/SET` each.

    Args:
        devkit: the folder `VOCdevkit`.
        lists: for instance ("2007/trainval", "2012/trainval").
        classes: objects of other classes count as background.
        need_object: leave out images without an object of these classes that is not difficult.

    Raises:
        DataError: a list, an annotation or an image is missing; an annotation is not what VOC's form demands.
    """
    files, objects = [], []
    for each in lists:
        year, name = each.split("/")
        root = existing(devkit / f"VOC{year}", f"VOC {year}")
        names = existing(root / "ImageSets/Main" / f"{name}.txt", f"the list {each}").read_text().split()
        require(names, f"the list {root / 'ImageSets/Main' / name}.txt names no image")
        for stem in names:
            found = read_objects(root / "Annotations" / f"{stem}.xml", classes)
            if need_object and found.difficult.all():
                continue
            files.append(existing(root / "JPEGImages" / f"{stem}.jpg", "an image of VOC"))
            objects.append(found)
    return VocSplit(tuple(files), tuple(objects))


def read_objects(path: Path, classes: Sequence[str]) -> Objects:
    """The objects in one annotation file.

    Raises:
        DataError: the file is missing or no XML, or a box lies outside its image or has no area.
    """
    try:
        root = ET.parse(existing(path, "an annotation of VOC")).getroot()  # noqa: S314 - expat expands nothing external
        width, height = (int(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
    except (ET.ParseError, ValueError) as error:
        msg = f"{path} is not a VOC annotation ({error}); fetch the data again"
        raise DataError(msg) from None
    found = [each for each in root.findall("object") if each.findtext("name") in classes]
    corners = np.array([_corners(each, path) for each in found], dtype=np.float64).reshape(-1, 4)
    for box in corners:
        inside = (box >= 0).all() and (box <= [width, height, width, height]).all()
        require(inside, f"{path}: the box {_named(box)} lies outside its image of {width}x{height} pixels; correct it")
        require((box[2:] > box[:2]).all(), f"{path}: the box {_named(box)} has no area; correct or remove it")
    return Objects(
        (corners / [width, height, width, height]).astype(np.float32),
        np.array([classes.index(each.findtext("name", "")) for each in found], dtype=np.int64),
        np.array([each.findtext("difficult", "0").strip() == "1" for each in found], dtype=bool),
        width,
        height,
    )


def _corners(element: ET.Element, path: Path) -> tuple[float, float, float, float]:
    """Pixel borders from VOC's coordinates, which are 1-based and include the last pixel."""
    texts = [element.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (float(text or "") for text in texts)
    except ValueError:
        msg = f"{path}: an object's bndbox is {texts}, not four numbers; correct it"
        raise DataError(msg) from None
    return left - 1, top - 1, right, bottom


def _named(box: np.ndarray) -> str:
    left, top, right, bottom = box
    return f"xmin={left + 1:g} ymin={top + 1:g} xmax={right:g} ymax={bottom:g}"


def decoded(files: Sequence[Path], side: int) -> UInt8[Tensor, "n 3 s s"]:
    """Images squeezed to squares, whatever their shape was, as SSD sees them.

    Raises:
        DataError: a file is truncated or no image.
    """
    squares = np.empty((len(files), 3, side, side), dtype=np.uint8)
    for square, file in zip(squares, files, strict=True):
        try:
            with Image.open(file) as image:
                image.draft("RGB", (side, side))
                small = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
                square[:] = np.asarray(small).transpose(2, 0, 1)
        except (OSError, UnidentifiedImageError) as error:
            msg = f"{file} cannot be decoded ({error}); fetch the data again"
            raise DataError(msg) from None
    return torch.from_numpy(squares)


def fingerprint(split: VocSplit) -> str:
    """SHA-256 over the images' names and objects."""
    digest = hashlib.sha256()
    for file, found in zip(split.files, split.objects, strict=True):
        digest.update(f"{file.parent.parent.name}/{file.name}".encode())
        for part in (found.boxes, found.labels, found.difficult):
            digest.update(part.tobytes())
    return digest.hexdigest()
