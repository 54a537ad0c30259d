"""Random affine transforms and color maps for data augmentation, drawn for a whole batch at once.

Coordinates are in [0, 1] over the frame of an image. As in torch's `affine_grid`, a transform maps a point of the
augmented image to the point of the frame that is shown there. `transform_points` moves boxes and joints the other way,
from the frame to the augmented image.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator

Transforms = Float[np.ndarray, "n 2 3"]
"""One affine transform per image: a 2x2 matrix and a shift."""
ColorMaps = Float[np.ndarray, "n 3 4"]
"""One linear map of RGB in 0..255 per image: a 3x3 matrix and a shift."""

TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # NTSC


def flips(rng: Generator, n: int) -> Transforms:
    """Horizontal flips of a random half of the images; the identity for the others."""
    return mirrored(rng.integers(2, size=n) == 1)


def mirrored(flipped: Bool[np.ndarray, " n"]) -> Transforms:
    """Horizontal flips of these images; the identity for the others."""
    transforms = np.zeros((len(flipped), 2, 3))
    transforms[:, 0, 0] = np.where(flipped, -1, 1)
    transforms[:, 0, 2] = flipped
    transforms[:, 1, 1] = 1
    return transforms


def windows(left: np.ndarray, top: np.ndarray, width: np.ndarray, height: np.ndarray) -> Transforms:
    """Crops to the given windows of the frame, which may reach beyond it. All arguments are (n,)."""
    transforms = np.zeros((len(left), 2, 3))
    transforms[:, 0, 0], transforms[:, 0, 2] = width, left
    transforms[:, 1, 1], transforms[:, 1, 2] = height, top
    return transforms


def rotations(angles: np.ndarray, scales: np.ndarray) -> Transforms:
    """Rotations about the frame's center by `angles` (radians, clockwise) with magnification by `scales`; both (n,)."""
    cosine, sine = np.cos(angles) / scales, np.sin(angles) / scales
    matrix = np.stack([np.stack([cosine, sine], 1), np.stack([-sine, cosine], 1)], 1)
    shift = 0.5 - matrix.sum(2, keepdims=True) * 0.5
    return np.concatenate([matrix, shift], 2)


def compose(first: Transforms, second: Transforms) -> Transforms:
    """The transform of an image that is augmented by `first` and then by `second`."""
    matrix = first[:, :, :2] @ second[:, :, :2]
    shift = first[:, :, :2] @ second[:, :, 2:] + first[:, :, 2:]
    return np.concatenate([matrix, shift], 2)


def transform_points(points: Float[np.ndarray, "n p 2"], transforms: Transforms) -> Float[np.ndarray, "n p 2"]:
    """The coordinates of points of the frame in the augmented image."""
    inverse = np.linalg.inv(transforms[:, :, :2])
    return (points - transforms[:, None, :, 2]) @ inverse.transpose(0, 2, 1)


def photometric(rng: Generator, n: int) -> ColorMaps:
    """SSD's photometric distortion (Liu et al. 2016, section 2.2; ranges of its public code), each part with p = 1/2.

    Brightness by up to 32 of 255, contrast and saturation by a factor in [0.5, 1.5], hue by up to 18 degrees.
    Differs from the original in that hue and saturation are changed in YIQ rather than HSV, which makes the whole
    distortion one linear map.
    """
    applied = rng.integers(2, size=(4, n)) == 1
    brightness = np.where(applied[0], rng.uniform(-32, 32, n), 0.0)
    contrast = np.where(applied[1], rng.uniform(0.5, 1.5, n), 1.0)
    saturation = np.where(applied[2], rng.uniform(0.5, 1.5, n), 1.0)
    hue = np.where(applied[3], rng.uniform(-np.pi / 10, np.pi / 10, n), 0.0)
    chroma = np.zeros((n, 3, 3))
    chroma[:, 0, 0] = 1
    chroma[:, 1, 1] = chroma[:, 2, 2] = saturation * np.cos(hue)
    chroma[:, 2, 1] = saturation * np.sin(hue)
    chroma[:, 1, 2] = -chroma[:, 2, 1]
    matrix = np.linalg.inv(TO_YIQ) @ chroma @ TO_YIQ * contrast[:, None, None]
    shift = (brightness * contrast)[:, None, None] * np.ones((1, 3, 1))
    return np.concatenate([matrix, shift], 2).astype(np.float32)
