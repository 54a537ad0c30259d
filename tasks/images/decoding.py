"""Decoding of image files into squares of one size."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from tasks.errors import DataError

Box = Float[np.ndarray, "4"]
"""Left, top, right, bottom in pixels of the image, borders of pixels counting from 0. It may reach beyond the image."""


def decode_squares(paths: Sequence[Path], side: int, boxes: Sequence[Box] | None = None) -> UInt8[Tensor, "n 3 s s"]:
    """Read images as RGB and scale each to a square, bilinearly; aspect ratios are not kept.

    Args:
        paths: the image files.
        side: side of the squares, in pixels.
        boxes: the part of each image to keep, black where it lies outside of the image; the whole image if None.

    Raises:
        DataError: a file is truncated or not an image.
    """
    squares = np.empty((len(paths), 3, side, side), dtype=np.uint8)
    for number, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                square = _scaled(image, side) if boxes is None else _cropped(image, side, boxes[number])
        except (OSError, UnidentifiedImageError) as error:
            msg = f"{path} cannot be decoded ({error}); fetch the data again"
            raise DataError(msg) from None
        squares[number] = np.asarray(square).transpose(2, 0, 1)
    return torch.from_numpy(squares)


def _scaled(image: Image.Image, side: int) -> Image.Image:
    image.draft("RGB", (side, side))  # lets the JPEG decoder skip resolution that scaling would discard
    return image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)


def _cropped(image: Image.Image, side: int, box: Box) -> Image.Image:
    left, top = floor(box[0]), floor(box[1])
    cropped = image.convert("RGB").crop((left, top, ceil(box[2]), ceil(box[3])))
    inside = tuple(box - [left, top, left, top])
    return cropped.resize((side, side), Image.Resampling.BILINEAR, box=inside)
