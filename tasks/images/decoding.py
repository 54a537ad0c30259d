"""Decoding of image files into squares of one size."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import ceil, floor
from pathlib import Path
from threading import Event

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from tasks.cores import threads_for
from tasks.errors import DataError, require
from tasks.images.files import ImageFile, readable
from tasks.progress import report

Box = Float[np.ndarray, "4"]
"""Left, top, right, bottom in pixels of the image, borders of pixels counting from 0. It may reach beyond the image."""
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
"""Pillow's other readers call outside programs, or are older than most attacks."""
TURNED = (5, 6, 7, 8)
"""Orientations of EXIF in which rows are stored as columns."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
"""Of files in these formats, in lower case."""
MOST_PIXELS = 1 << 26
"""The largest image, and the largest part of one: 67 million pixels. A small file can claim to hold billions."""
MOST_NAMED = 5
"""Files that one message names; more are counted."""
_FAULTS = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, OverflowError, struct.error, zlib.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow raises on damaged files."""


def is_image(path: Path) -> bool:
    """Whether a file's name is that of an image; macOS puts hidden files of the same suffix beside images on other disks."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def image_size(path: ImageFile, description: str = "an image") -> tuple[int, int]:
    """Width and height in pixels of the upright image, as the head of the file gives them.

    Args:
        path: of the file.
        description: what it is, as the start of a message.

    Raises:
        DataError: the file is missing, is not an image, or holds more than `MOST_PIXELS`.
    """
    with _refusing_bombs(), _opened(path, description) as image:
        width, height = image.size
        return (height, width) if _orientation(image) in TURNED else (width, height)


def decode_squares(
    paths: Sequence[ImageFile], side: int, boxes: Sequence[Box] | None = None
) -> UInt8[Tensor, "n 3 s s"]:
    """Read images as upright RGB and scale each to a square, bilinearly; aspect ratios are not kept.

    An image is turned as its EXIF orientation says, 16 bits a channel become 8, transparent pixels are shown on white, and
    of an animation the first frame is read.

    Args:
        paths: the image files.
        side: side of the squares, in pixels.
        boxes: the part of each image to keep, black where it lies outside of the image; the whole image if None.

    Raises:
        DataError: files are truncated or no images, or boxes are too large: the message names up to five of them.
    """
    return torch.from_numpy(decode_part(paths, range(len(paths)), side, boxes))


def decode_part(
    paths: Sequence[ImageFile], part: range, side: int, boxes: Sequence[Box] | None = None
) -> UInt8[np.ndarray, "_ 3 s s"]:
    """The squares of a part of the images, as `decode_squares` gives them.

    Args:
        paths: all image files.
        part: numbers of the images that are wanted, one after another.
        side: of the squares, in pixels.
        boxes: of all images.

    Raises:
        DataError: an image of the part cannot be read; then the others are looked at, too, and it names those of all images.
    """
    squares = np.empty((len(part), 3, side, side), dtype=np.uint8)
    faults = _fill(squares, paths, part, boxes)
    if faults and len(part) < len(paths):
        report("an image cannot be read; looking for others")
        parts = [range(first, min(first + len(part), len(paths))) for first in range(0, len(paths), len(part))]
        faults = {path: error for each in parts for path, error in _fill(squares, paths, each, boxes).items()}
    _raise_all(list(faults.values()), len(set(paths)))
    return squares


def _fill(
    squares: UInt8[np.ndarray, "_ 3 s s"], paths: Sequence[ImageFile], part: range, boxes: Sequence[Box] | None
) -> dict[ImageFile, DataError]:
    """Decode images into the first squares; what is wrong with some of them, in their order.

    Threads share the work: Pillow decodes and scales without Python's lock.
    """
    threads, stopped = threads_for(len(part)), Event()

    def decode_every(first: int) -> dict[int, DataError]:
        faults: dict[int, DataError] = {}
        for row in range(first, len(part), threads):
            if stopped.is_set():
                break
            path, box = paths[part[row]], None if boxes is None else boxes[part[row]]
            try:
                with _opened(path) as image:
                    side = squares.shape[-1]
                    squares[row] = scaled(image, side) if box is None else _cropped(image, side, box, path)
            except DataError as error:
                faults[row] = error
        return faults

    with _refusing_bombs(), ThreadPoolExecutor(threads) as pool:
        try:
            found = {row: error for faults in pool.map(decode_every, range(threads)) for row, error in faults.items()}
        finally:
            stopped.set()  # Ctrl-C ends the threads, too
    return {paths[part[row]]: found[row] for row in sorted(found)}


def decode_upright(path: ImageFile) -> Image.Image:
    """A whole image in RGB as a viewer shows it; raises as `decode_squares`."""
    with _opened(path) as image:
        return _upright(image)


def _raise_all(faults: Sequence[DataError], files: int) -> None:
    """Raise one error for all that is wrong with some files."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        named = "; ".join(error.fault for error in faults[:MOST_NAMED])
        more = f"; and {len(faults) - MOST_NAMED} more" if len(faults) > MOST_NAMED else ""
        fault = f"{len(faults)} of {files} images cannot be read: {named}{more}"
        raise DataError(fault, "replace them or leave them out")


def decode_mask(path: Path) -> UInt8[np.ndarray, "h w"]:
    """The class numbers of a mask: the values of a gray or palette image of up to 8 bits, not its colors.

    Raises:
        DataError: the file is missing, truncated or not an image, or its pixels are no class numbers.
    """
    with _refusing_bombs(), _opened(path, "a mask") as image:
        advice = "save class numbers as a gray or palette PNG of 8 bits"
        require(image.mode in {"L", "P"}, f"{path} holds no class numbers: its mode is {image.mode}", advice)
        require(
            image.format not in {"JPEG", "WEBP"}, f"{path} is a {image.format}, which changes class numbers", advice
        )
        return np.array(image) // (255 // (2 ** _gray_bits(path) - 1))


def _gray_bits(path: Path) -> int:
    """The bits of a pixel of a gray PNG, whose values Pillow scales to 0..255; 8 for every other file."""
    with path.open("rb") as file:
        header = file.read(26)
    return header[24] if header.startswith(b"\x89PNG") and header[25] == 0 else 8


@contextmanager
def _refusing_bombs() -> Iterator[None]:
    """Pillow's warning about huge images is an error in the block. Not to be entered by several threads at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextmanager
def _opened(path: ImageFile, description: str = "an image") -> Iterator[Image.Image]:
    """An open image. What the block raises while it decodes becomes a DataError."""
    try:
        with Image.open(readable(path, description), formats=FORMATS) as image:
            width, height = image.size
            fault = f"{path} cannot be decoded (it has {width}x{height} pixels, more than {MOST_PIXELS:,})"
            require(width * height <= MOST_PIXELS, fault, "make it smaller")
            yield image
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        fault = f"{path} cannot be decoded (it claims to have more than {MOST_PIXELS:,} pixels)"
        raise DataError(fault, "make it smaller") from None
    except UnidentifiedImageError:
        fault = f"{path} cannot be decoded (it is no whole image in JPEG, PNG, BMP or WebP)"
        raise DataError(fault, "replace or convert it, or leave it out") from None
    except _FAULTS as error:
        fault = f"{path} cannot be decoded ({error})"
        raise DataError(fault, "replace it or leave it out") from None


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation of an image that is open and not yet decoded; 1 is upright. Of a PNG, if it stands before the pixels."""
    late = image.format == "PNG" and "exif" not in image.info  # to look for it, Pillow would decode the image
    return 1 if late else image.getexif().get(ExifTags.Base.Orientation, 1)


def _upright(image: Image.Image) -> Image.Image:
    """The image in RGB, as a viewer shows it."""
    if _orientation(image) != 1:
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion clips everything above 255 to white
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def scaled(image: Image.Image, side: int) -> UInt8[np.ndarray, "3 s s"]:
    """The image as upright RGB, scaled to a square."""
    image.draft("RGB", (side, side))  # lets the JPEG decoder skip resolution that scaling would discard
    return np.asarray(_upright(image).resize((side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def _cropped(image: Image.Image, side: int, box: Box, path: ImageFile) -> UInt8[np.ndarray, "3 s s"]:
    left, top, right, bottom = floor(box[0]), floor(box[1]), ceil(box[2]), ceil(box[3])
    area = (right - left) * (bottom - top)
    fault = f"{path}: the frame of a person has {right - left}x{bottom - top} pixels, more than {MOST_PIXELS:,}"
    require(area <= MOST_PIXELS, fault, "correct the scale")
    cropped = _upright(image).crop((left, top, right, bottom))
    inside = tuple(box - [left, top, left, top])
    return np.asarray(cropped.resize((side, side), Image.Resampling.BILINEAR, box=inside)).transpose(2, 0, 1)
