"""SSD's geometric augmentation: zoom out, crops of a minimum overlap, horizontal flips."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator

from tasks.images import augment
from tasks.images.augment import Transforms

MINIMUM_OVERLAPS = (-np.inf, 0.1, 0.3, 0.5, 0.7, 0.9, np.nan)
"""SSD's choices (Liu et al. 2016, section 2.2): any crop, a minimum overlap, or (NaN) the whole image."""
TRIALS = 40  # as torchvision's RandomIoUCrop
SMALLEST_SIDE = 0.3  # share of the image's side (torchvision)


def ssd_transforms(
    rng: Generator, boxes: Float[np.ndarray, "n b 4"], is_object: Bool[np.ndarray, "n b"], zoom: float
) -> Transforms:
    """A random transform for each image: zoomed out with p = 1/2, cropped, flipped with p = 1/2.

    Args:
        rng: the source of randomness.
        boxes: corners in [0, 1] over the frame.
        is_object: which boxes are objects and not padding.
        zoom: the largest factor of zooming out; SSD's is 4.
    """
    outward = zoomed_out(rng, len(boxes), zoom)
    zoomed = augment.transform_points(boxes.reshape(len(boxes), -1, 2), outward).reshape(boxes.shape)
    cropped = augment.compose(outward, crops(rng, zoomed, is_object))
    return augment.compose(cropped, augment.flips(rng, len(boxes)))


def zoomed_out(rng: Generator, n: int, zoom: float) -> Transforms:
    """Place a random half of the images at a random position on a canvas up to `zoom` times as wide."""
    ratio = np.where(rng.integers(2, size=n) == 1, rng.uniform(1, zoom, n), 1.0)
    left, top = rng.random((2, n)) * (1 - ratio)
    return augment.windows(left, top, ratio, ratio)


def crops(rng: Generator, boxes: Float[np.ndarray, "n b 4"], is_object: Bool[np.ndarray, "n b"]) -> Transforms:
    """Random crops that overlap some object by a randomly chosen minimum and contain the center of some object.

    Differs from SSD in that all trials are drawn at once, and an image for which none succeeds is not cropped.
    """
    n = len(boxes)
    width, height = rng.uniform(SMALLEST_SIDE, 1, (2, n, TRIALS))
    left, top = rng.random((2, n, TRIALS)) * (1 - np.stack([width, height]))
    window = np.stack([left, top, left + width, top + height], 2)
    minimum = rng.choice(MINIMUM_OVERLAPS, n)
    shape = (width <= 2 * height) & (height <= 2 * width)
    valid = shape & _has_center(window, boxes, is_object).any(2)
    overlap = np.where(is_object[:, None], _overlaps(window, boxes), 0).max(2, initial=0)
    valid &= overlap >= minimum[:, None]  # never true where the minimum is NaN, which stands for the whole image
    first, rows = valid.argmax(1), np.arange(n)
    whole = ~valid.any(1)
    return augment.windows(
        np.where(whole, 0, left[rows, first]),
        np.where(whole, 0, top[rows, first]),
        np.where(whole, 1, width[rows, first]),
        np.where(whole, 1, height[rows, first]),
    )


def _has_center(
    window: Float[np.ndarray, "n t 4"], boxes: Float[np.ndarray, "n b 4"], is_object: np.ndarray
) -> Bool[np.ndarray, "n t b"]:
    """Whether each window contains the center of each object."""
    center = (boxes[..., :2] + boxes[..., 2:])[:, None] / 2
    return ((center > window[:, :, None, :2]) & (center < window[:, :, None, 2:])).all(3) & is_object[:, None]


def _overlaps(window: Float[np.ndarray, "n t 4"], boxes: Float[np.ndarray, "n b 4"]) -> Float[np.ndarray, "n t b"]:
    """Intersection over union of each window and each box."""
    one, other = window[:, :, None], boxes[:, None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = sides.clip(0).prod(-1)
    areas = [(corners[..., 2:] - corners[..., :2]).prod(-1) for corners in (one, other)]
    return shared / np.maximum(sum(areas) - shared, np.finfo(float).eps)
