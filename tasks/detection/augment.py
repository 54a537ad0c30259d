"""SSD's augmentation of places: zoom out, crops of a minimum overlap, mirroring."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator

from tasks.images import augment
from tasks.images.augment import Places

MINIMUM_OVERLAPS = (-np.inf, 0.1, 0.3, 0.5, 0.7, 0.9, np.nan)
"""SSD's choices (Liu et al. 2016, section 2.2): any crop, a minimum overlap, or (not a number) the whole image."""
TRIALS = 40  # as torchvision's RandomIoUCrop
SMALLEST_SIDE = 0.3  # share of the image's side (torchvision)


def ssd_places(rng: Generator, boxes: Float[np.ndarray, "n b 4"], real: Bool[np.ndarray, "n b"], zoom: float) -> Places:
    """A random map of places for each image: zoomed out with p = 1/2, cropped, mirrored with p = 1/2.

    Args:
        rng: where chance comes from.
        boxes: corners in [0, 1] over the frame.
        real: which boxes are objects and not padding.
        zoom: the largest factor of zooming out; SSD's is 4.
    """
    outward = zoomed_out(rng, len(boxes), zoom)
    canvas = augment.moved(boxes.reshape(len(boxes), -1, 2), outward).reshape(boxes.shape)
    cropped = augment.then(outward, crops(rng, canvas, real))
    return augment.then(cropped, augment.flips(rng, len(boxes)))


def zoomed_out(rng: Generator, n: int, zoom: float) -> Places:
    """Half of the images at a random place on a canvas up to `zoom` times as wide."""
    ratio = np.where(rng.integers(2, size=n) == 1, rng.uniform(1, zoom, n), 1.0)
    left, top = rng.random((2, n)) * (1 - ratio)
    return augment.windows(left, top, ratio, ratio)


def crops(rng: Generator, boxes: Float[np.ndarray, "n b 4"], real: Bool[np.ndarray, "n b"]) -> Places:
    """Windows that keep a minimum overlap with some object, and some object's center.

    Differs from SSD in that all trials are drawn at once, and an image for which none will do stays whole.
    """
    n = len(boxes)
    width, height = rng.uniform(SMALLEST_SIDE, 1, (2, n, TRIALS))
    left, top = rng.random((2, n, TRIALS)) * (1 - np.stack([width, height]))
    window = np.stack([left, top, left + width, top + height], 2)
    minimum = rng.choice(MINIMUM_OVERLAPS, n)
    shape = (width <= 2 * height) & (height <= 2 * width)
    good = shape & _kept(window, boxes, real).any(2)
    overlap = np.where(real[:, None], _overlaps(window, boxes), 0).max(2, initial=0)
    good &= overlap >= minimum[:, None]  # never true for the whole image, whose minimum is not a number
    first, rows = good.argmax(1), np.arange(n)
    whole = ~good.any(1)
    return augment.windows(
        np.where(whole, 0, left[rows, first]),
        np.where(whole, 0, top[rows, first]),
        np.where(whole, 1, width[rows, first]),
        np.where(whole, 1, height[rows, first]),
    )


def _kept(window: Float[np.ndarray, "n t 4"], boxes: Float[np.ndarray, "n b 4"], real: np.ndarray) -> np.ndarray:
    """Whether each window (n, t, b) holds the center of each object."""
    center = (boxes[..., :2] + boxes[..., 2:])[:, None] / 2
    return ((center > window[:, :, None, :2]) & (center < window[:, :, None, 2:])).all(3) & real[:, None]


def _overlaps(window: Float[np.ndarray, "n t 4"], boxes: Float[np.ndarray, "n b 4"]) -> np.ndarray:
    """Intersection over union of each window and each box, (n, t, b)."""
    one, other = window[:, :, None], boxes[:, None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = sides.clip(0).prod(-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(-1) for each in (one, other)]
    return shared / np.maximum(sum(areas) - shared, np.finfo(float).eps)
