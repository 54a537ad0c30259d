"""Random maps of places and colors, drawn for a whole batch at once.

Places are in [0, 1] over the frame of an image. A map of places leads from the augmented image to the frame, as
`Pixels.warp` wants it; `moved` carries boxes and joints the other way.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.random import Generator

Places = Float[np.ndarray, "n 2 3"]
ColorMaps = Float[np.ndarray, "n 3 4"]

TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # NTSC


def flips(rng: Generator, n: int) -> Places:
    """Mirrors half of the images left to right."""
    mirrored = rng.integers(2, size=n) == 1
    places = np.zeros((n, 2, 3))
    places[:, 0, 0] = np.where(mirrored, -1, 1)
    places[:, 0, 2] = mirrored
    places[:, 1, 1] = 1
    return places


def windows(left: np.ndarray, top: np.ndarray, width: np.ndarray, height: np.ndarray) -> Places:
    """Shows the given windows of the frame, which may reach beyond it. All (n,)."""
    places = np.zeros((len(left), 2, 3))
    places[:, 0, 0], places[:, 0, 2] = width, left
    places[:, 1, 1], places[:, 1, 2] = height, top
    return places


def turns(angles: np.ndarray, scales: np.ndarray) -> Places:
    """Turns about the frame's center (radians, positive clockwise) and magnifies by `scales`. Both (n,)."""
    cosine, sine = np.cos(angles) / scales, np.sin(angles) / scales
    matrix = np.stack([np.stack([cosine, sine], 1), np.stack([-sine, cosine], 1)], 1)
    shift = 0.5 - matrix.sum(2, keepdims=True) * 0.5
    return np.concatenate([matrix, shift], 2)


def then(first: Places, second: Places) -> Places:
    """The map of an image that was augmented by `first` and then by `second`."""
    matrix = first[:, :, :2] @ second[:, :, :2]
    shift = first[:, :, :2] @ second[:, :, 2:] + first[:, :, 2:]
    return np.concatenate([matrix, shift], 2)


def moved(points: Float[np.ndarray, "n p 2"], places: Places) -> Float[np.ndarray, "n p 2"]:
    """Where points of the frame lie in the augmented image."""
    inverse = np.linalg.inv(places[:, :, :2])
    return (points - places[:, None, :, 2]) @ inverse.transpose(0, 2, 1)


def photometric(rng: Generator, n: int) -> ColorMaps:
    """SSD's photometric distortion (Liu et al. 2016, section 2.2; ranges of its public code), each part with p = 1/2.

    Brightness by up to 32 of 255, contrast and saturation by a factor in [0.5, 1.5], hue by up to 18 degrees.
    Differs from the original in that hue and saturation are changed in YIQ rather than HSV, which makes the whole
    distortion one linear map.
    """
    drawn = rng.integers(2, size=(4, n)) == 1
    brightness = np.where(drawn[0], rng.uniform(-32, 32, n), 0.0)
    contrast = np.where(drawn[1], rng.uniform(0.5, 1.5, n), 1.0)
    saturation = np.where(drawn[2], rng.uniform(0.5, 1.5, n), 1.0)
    hue = np.where(drawn[3], rng.uniform(-np.pi / 10, np.pi / 10, n), 0.0)
    chroma = np.zeros((n, 3, 3))
    chroma[:, 0, 0] = 1
    chroma[:, 1, 1] = chroma[:, 2, 2] = saturation * np.cos(hue)
    chroma[:, 2, 1] = saturation * np.sin(hue)
    chroma[:, 1, 2] = -chroma[:, 2, 1]
    matrix = np.linalg.inv(TO_YIQ) @ chroma @ TO_YIQ * contrast[:, None, None]
    shift = (brightness * contrast)[:, None, None] * np.ones((1, 3, 1))
    return np.concatenate([matrix, shift], 2).astype(np.float32)
