"""Drawing of rendered scenes: backgrounds, distractors, silhouettes, occluding patches.

Images are square, float32, RGB in [0, 255]. Positions are (x, y) in pixels, y downwards; the center of the pixel in row r
and column c is (c, r). Angles are in radians, clockwise in the image.
"""

import colorsys
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32

Canvas: TypeAlias = Float32[np.ndarray, "h w 3"]
Field: TypeAlias = Float32[np.ndarray, "h w"]
Color: TypeAlias = Float32[np.ndarray, "3"]
Point: TypeAlias = Float[np.ndarray, "2"]

SUPERSAMPLING = 4  # silhouettes are drawn this many times larger and then averaged: edges have at least 16 gray levels
TILT_DEGREES = 25  # standard deviation of a shape's orientation: mostly upright, as objects in photographs are
SUBPIXEL_BITS = 4  # cv2 reads integer coordinates as multiples of 2 ** -SUBPIXEL_BITS pixels
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def _arc(radius: float, start: float, stop: float, points: int = 40) -> np.ndarray:
    angles = np.linspace(start, stop, points)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _regular(corners: int) -> np.ndarray:
    return _arc(1.0, -np.pi / 2, 1.5 * np.pi, corners + 1)[:-1]


def _star() -> np.ndarray:
    corners = _regular(10)
    corners[1::2] *= 0.42
    return corners


def _cross(half_width: float = 0.3) -> np.ndarray:
    a, b = half_width, 1.0
    return np.array(
        [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]
    )


def _crescent() -> np.ndarray:
    """A disk of radius 1 minus a disk of radius .85 whose center is .5 to the right."""
    radius, shift = 0.85, 0.5
    x = (1 - radius**2 + shift**2) / (2 * shift)
    tip, inner_tip = np.arccos(x), np.arctan2(np.sqrt(1 - x**2), x - shift)
    outer = _arc(1.0, tip, 2 * np.pi - tip)
    inner = _arc(radius, 2 * np.pi - inner_tip, inner_tip) + np.array([shift, 0])
    return np.concatenate([outer, inner])


_ARROW = np.array([(1, 0), (0.1, -0.75), (0.1, -0.27), (-1, -0.27), (-1, 0.27), (0.1, 0.27), (0.1, 0.75)])

# Contours in any unit; a second contour cuts a hole. Ordered by frequency, the most frequent class first.
_CONTOURS: dict[str, tuple[np.ndarray, ...]] = {
    "disk": (_regular(48),),
    "square": (np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]),),
    "triangle": (_regular(3),),
    "ring": (_regular(48), 0.55 * _regular(48)),
    "cross": (_cross(),),
    "star": (_star(),),
    "crescent": (_crescent(),),
    "arrow": (_ARROW,),
}
CLASSES: tuple[str, ...] = tuple(_CONTOURS)


def silhouette(label: int, size: int, center: Point, side: float, rng: np.random.Generator) -> Field:
    """A class's shape, tilted and stretched at random, as the share of each pixel that it covers, in [0, 1].

    Args:
        label: index of the class.
        size: side of the image, in pixels.
        center: center of the shape's bounding box.
        side: longer side of that box, in pixels.
        rng: the source of randomness.
    """
    contours = _CONTOURS[CLASSES[label]]
    angle, stretch = np.deg2rad(rng.normal(0, TILT_DEGREES)), rng.uniform(0.85, 1 / 0.85)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shapes = [contour * (1, stretch) @ turn.T for contour in contours]
    low, high = shapes[0].min(axis=0), shapes[0].max(axis=0)
    scale = side / (high - low).max()
    fine = [SUPERSAMPLING * ((shape - (low + high) / 2) * scale + center + 0.5) - 0.5 for shape in shapes]
    mask = np.zeros((size * SUPERSAMPLING, size * SUPERSAMPLING), np.uint8)
    cv2.fillPoly(mask, [fixed_point(shape) for shape in fine], 255, cv2.LINE_8, SUBPIXEL_BITS)
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Coordinates as the integers that cv2's drawing functions expect with `shift=SUBPIXEL_BITS`."""
    return np.rint(points * 2**SUBPIXEL_BITS).astype(np.int32)


@lru_cache(maxsize=8)
def _grid(size: int) -> tuple[Field, Field]:
    axis = np.arange(size, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


def _along(size: int, angle: float) -> Field:
    """Each pixel's position along a direction, relative to the side of the image."""
    x, y = _grid(size)
    return (np.float32(np.cos(angle) / size) * x + np.float32(np.sin(angle) / size) * y).astype(np.float32)


def _gradient(size: int, rng: np.random.Generator) -> Field:
    field = _along(size, rng.uniform(0, 2 * np.pi))
    return (field - field.min()) / np.ptp(field)


def _noise(size: int, rng: np.random.Generator) -> Field:
    """Four octaves of smooth noise, each with twice the frequency of the last and weaker by a random factor."""
    total, weight, decay = np.zeros((size, size), np.float32), 1.0, rng.uniform(0.5, 0.9)
    for cells in (3, 6, 12, 24):
        octave = rng.random((cells, cells), dtype=np.float32)
        total += np.float32(weight) * cv2.resize(octave, (size, size), interpolation=cv2.INTER_CUBIC)
        weight *= decay
    return (total - total.min()) / np.ptp(total)


def _stripes(size: int, rng: np.random.Generator) -> Field:
    phase = 2 * np.pi * (_along(size, rng.uniform(0, np.pi)) / rng.uniform(0.08, 0.3) + rng.random())
    return (0.5 + 0.5 * np.sin(phase)).astype(np.float32)


def _checks(size: int, rng: np.random.Generator) -> Field:
    angle, period, phase = rng.uniform(0, np.pi), rng.uniform(0.15, 0.4), rng.uniform(0, 2 * np.pi, 2)
    waves = [
        np.sin(2 * np.pi / period * _along(size, angle + quarter) + shift)
        for quarter, shift in zip((0, np.pi / 2), phase, strict=True)
    ]
    return np.clip(0.5 + 2 * waves[0] * waves[1], 0, 1).astype(np.float32)


_TEXTURES: tuple[Callable[[int, np.random.Generator], Field], ...] = (_gradient, _noise, _stripes, _checks)


def background(size: int, clutter: float, rng: np.random.Generator) -> Canvas:
    """A texture of two similar colors with up to 10 distractors (lines and blobs) on it: 10 * `clutter`."""
    field = _TEXTURES[rng.integers(len(_TEXTURES))](size, rng)
    base, swing = rng.uniform(60, 195, 3), rng.uniform(-40, 40, 3)
    canvas = base.astype(np.float32) + (field[..., None] - np.float32(0.5)) * swing.astype(np.float32)
    canvas = np.clip(canvas, 0, 255).astype(np.uint8)
    for _ in range(round(10 * clutter)):
        color = np.clip(base + rng.uniform(-60, 60, 3), 0, 255).tolist()
        _distract(canvas, color, rng)
    return canvas.astype(np.float32)


def _distract(canvas: np.ndarray, color: list[float], rng: np.random.Generator) -> None:
    """Draw a line, or an ellipse with semi-axes of 2 to 5 % of the image's side, into the canvas, in place."""
    size = len(canvas)
    start = rng.uniform(0, size, 2)
    if rng.random() < 0.5:  # noqa: PLR2004 - lines and blobs are equally likely
        stop = start + rng.normal(0, 0.35 * size, 2)
        thickness = 1 + int(rng.integers(0, 1 + size // 48))
        points = fixed_point(np.stack([start, stop])).tolist()
        cv2.line(canvas, points[0], points[1], color, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    else:
        axes = fixed_point(rng.uniform(0.02, 0.05, 2) * size).tolist()
        angle = rng.uniform(0, 180)
        center = fixed_point(start).tolist()
        cv2.ellipse(canvas, center, axes, angle, 0, 360, color, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def foreground_color(hue: float, behind: Color, contrast: float, rng: np.random.Generator) -> Color:
    """A random color of a hue, whose difference from the background is scaled by `contrast`.

    At contrast 1 its luminance differs from the background's by 33 to 45 % of the range.

    Args:
        hue: in turns; 1 is a full circle.
        behind: the color of the background.
        contrast: in [0, 1]; 0 gives the color of the background.
        rng: the source of randomness.
    """
    color = 255 * np.array(colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.75, 1), rng.uniform(0.8, 1)), np.float32)
    below, level = float(behind @ LUMINANCE), float(color @ LUMINANCE)
    difference = rng.uniform(0.33, 0.45) * 255
    target = below + difference if below < 255 / 2 else below - difference
    if level > target:
        color *= target / level
    else:
        color += (255 - color) * ((target - level) / (255 - level))
    return (behind + contrast * (color - behind)).astype(np.float32)


def mean_color(canvas: Canvas) -> Color:
    """The mean over an image's pixels."""
    return np.array(cv2.mean(canvas)[:3], np.float32)


def paint(canvas: Canvas, mask: Field, foreground: Canvas | Color) -> Canvas:
    """Blend a color or another image into a canvas; `mask` is the opacity of each pixel, in [0, 1]."""
    return canvas + mask[..., None] * (foreground - canvas)


def cover(mask: Field, fraction: float, rng: np.random.Generator) -> Field:
    """The opacity of a patch that covers `fraction` of a silhouette: its surroundings on one side of a random straight line."""
    along = _along(len(mask), rng.uniform(0, 2 * np.pi)) * len(mask)
    edge = np.quantile(along[mask > 0.5], 1 - fraction)  # noqa: PLR2004 - pixels that are mostly covered
    left, top, right, bottom = bounding_box(mask, threshold=0.0)
    near = np.zeros_like(mask)
    near[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = 1
    return near * np.clip(along - edge + 0.5, 0, 1).astype(np.float32)


def bounding_box(mask: Field, threshold: float = 0.5) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the pixels whose coverage exceeds the threshold; right and bottom are exclusive.

    Raises:
        ValueError: there is no such pixel.
    """
    columns, rows = np.flatnonzero((mask > threshold).any(axis=0)), np.flatnonzero((mask > threshold).any(axis=1))
    if not len(columns):
        msg = f"a silhouette has no box: none of its pixels has a coverage above {threshold}"
        raise ValueError(msg)
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def develop(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The canvas as a uint8 image, with camera noise of a random standard deviation (1 to 6 levels)."""
    noise = rng.standard_normal(canvas.shape, dtype=np.float32)
    return np.clip(np.rint(canvas + np.float32(rng.uniform(1, 6)) * noise), 0, 255).astype(np.uint8)
