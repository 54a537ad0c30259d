"""Images with a mask of class numbers each: folders of both, and Cityscapes in its official layout."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from tasks.errors import require, require_path
from tasks.images.decoding import decode_mask, image_size
from tasks.images.files import ImageFile, path_of
from tasks.images.folders import images_among

VOID = 255
"""In label maps, a pixel without a class: neither trained nor evaluated."""
UNKNOWN = 254
CITYSCAPES_IMAGES, CITYSCAPES_MASKS = "leftImg8bit", "gtFine"

LabelMap = UInt8[np.ndarray, "s s"]
"""Class indices of pixels, and `VOID`."""


class Numbering(NamedTuple):
    """What the numbers in masks mean."""

    classes: tuple[str, ...]
    table: UInt8[np.ndarray, " 256"]
    """For each number the class index, `VOID` or `UNKNOWN`."""

    @classmethod
    def of(cls, classes: Sequence[str], void: Sequence[int]) -> Numbering:
        """Class i has the number i; the numbers in `void` are of no class."""
        table = np.full(256, UNKNOWN, np.uint8)
        table[: len(classes)] = np.arange(len(classes))
        table[list(void)] = VOID
        return cls(tuple(classes), table)


class MaskedImages(NamedTuple):
    """Images, and the mask of each."""

    images: tuple[Path, ...]
    masks: tuple[Path, ...]


def load_folder(images: Path, masks: Path, suffix: str | None = None) -> MaskedImages:
    """The images of a folder, by name, with the mask of the same name, as a PNG, from another folder.

    Args:
        images: holds JPEG, PNG, BMP or WebP files. Other files and folders in it are ignored.
        masks: of each image NAME the file NAME + suffix + .png.
        suffix: what the names of masks have more.

    Raises:
        DataError: a folder or a mask is missing, or there are no images, or two of one name.
    """
    require_path(images, "the folder of images")
    require_path(masks, "the folder of masks")
    files = images_among(sorted(images.iterdir()), images)
    require(files, f"no image in {images}", "put JPEG, PNG, BMP or WebP files there")
    name, count = Counter(path.stem for path in files).most_common(1)[0]
    require(count == 1, f"{images} has {count} images named {name}", "keep one of them, as a mask has one image")
    return MaskedImages(tuple(files), tuple(masks / f"{path.stem}{suffix or ''}.png" for path in files))


def load_cityscapes(root: Path, split: str) -> MaskedImages:
    """The images of a split of Cityscapes with their fine annotations (`labelIds`).

    Args:
        root: the folder that holds `leftImg8bit` and `gtFine`.
        split: `train` or `val`; the labels of `test` are not public.

    Raises:
        DataError: a folder is missing, or has no images.
    """
    folder = require_path(root / CITYSCAPES_IMAGES / split, f"Cityscapes' {split} images")
    files = sorted(folder.glob(f"*/*_{CITYSCAPES_IMAGES}.png"))
    require(files, f"no image below {folder}", "unpack leftImg8bit_trainvaltest.zip there")
    names = [path.name.removesuffix(f"_{CITYSCAPES_IMAGES}.png") for path in files]
    masks = [
        root / CITYSCAPES_MASKS / split / path.parent.name / f"{name}_{CITYSCAPES_MASKS}_labelIds.png"
        for path, name in zip(files, names, strict=True)
    ]
    return MaskedImages(tuple(files), tuple(masks))


def cityscapes_numbering() -> Numbering:
    """The 19 classes that are evaluated, by the numbers that torchvision knows; the others are void."""
    from torchvision.datasets import Cityscapes  # noqa: PLC0415 - heavy, and the settings need the names below only

    evaluated = [each for each in Cityscapes.classes if not each.ignore_in_eval]
    table = np.full(256, UNKNOWN, np.uint8)
    table[[each.id for each in Cityscapes.classes if each.id >= 0]] = VOID
    table[[each.id for each in evaluated]] = np.arange(len(evaluated))
    return Numbering(tuple(each.name for each in evaluated), table)


def joined(parts: Sequence[MaskedImages]) -> MaskedImages:
    """Several splits as one."""
    return MaskedImages(
        tuple(path for part in parts for path in part.images), tuple(path for part in parts for path in part.masks)
    )


def decode_labels(split: MaskedImages, side: int, numbering: Numbering) -> UInt8[np.ndarray, "n s s"]:
    """The label maps of all images, scaled to squares; each pixel has the class at its center.

    Raises:
        DataError: a mask is missing, is no image of class numbers, has another size than its image or an unknown number.
    """
    return shrunk(label_maps(split, numbering), len(split.masks), side)


def shrunk(maps: Iterable[UInt8[np.ndarray, "_ _"]], count: int, side: int) -> UInt8[np.ndarray, "n s s"]:
    """Label maps of any sizes, scaled to squares; each pixel has the class at its center.

    Args:
        maps: one after another, so that one of full size is held at a time.
        count: of the maps.
        side: of the squares, in pixels.
    """
    labels = np.empty((count, side, side), np.uint8)
    for number, full in enumerate(maps):
        labels[number] = nearest(full, side, side)
    return labels


def nearest(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map in another size: each pixel has the value at its center."""
    rows, columns = (
        ((np.arange(length) + 0.5) * old / length).astype(np.int64)
        for length, old in zip((height, width), pixels.shape, strict=True)
    )
    return pixels[rows[:, None], columns]


def label_maps(split: MaskedImages, numbering: Numbering) -> Iterator[UInt8[np.ndarray, "h w"]]:
    """The label map of each image in full size; raises as `decode_labels`."""
    for image, mask in zip(split.images, split.masks, strict=True):
        numbers = decode_mask(mask)
        (width, height), (high, wide) = image_size(image), numbers.shape
        require(
            (wide, high) == (width, height),
            f"the mask {mask} has {wide}x{high} pixels, and its image has {width}x{height}",
            "put the mask there that is of this image",
        )
        full = numbering.table[numbers]
        unknown = np.unique(numbers[full == UNKNOWN])
        require(
            not len(unknown),
            f"the mask {mask} has the number {unknown[0] if len(unknown) else ''}, which is of no class",
            f"classes are numbered 0 to {len(numbering.classes) - 1}; name others in task.data.void",
        )
        yield full


def fingerprint(images: Sequence[ImageFile], labels: UInt8[np.ndarray, "n s s"]) -> str:
    """SHA-256 over the names of all images and their label maps."""
    digest = hashlib.sha256()
    for file in map(path_of, images):
        digest.update(f"{file.parent.name}/{file.name}\0".encode())
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()
