"""Rendered scenes with their annotations, as pure functions of (seed, split, index).

One pool image in ten is a near-duplicate of an earlier one, as in photographs taken in a burst. Most images are easy; a
minority has rare classes, unusual poses, low contrast, occlusion or small objects.
"""

from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from tasks.datasets.scenes import compose, drawing
from tasks.datasets.scenes.compose import DetectionScene, FigureScene, Image, ObjectScene

Split: TypeAlias = Literal["pool", "test"]

DUPLICATE_SHARE = 0.1  # of the pool
DUPLICATE_REACH = 36  # a near-duplicate repeats one of the 36 images before it
EMPTY_SHARE = 0.02  # of the pool's detection scenes

OBJECTS, CROWDS, FIGURES = 0, 1, 2
"""Seeds of the random streams for scenes with one object, with several objects, and with a person."""
_SPLITS = {"pool": 0, "test": 1}
_PURPOSES = {"scene": 0, "duplicate": 1, "jitter": 2}


def render_object_scene(seed: int, split: Split, index: int) -> ObjectScene:
    """Image `index` of a split, for classification."""
    origin = _origin(seed, OBJECTS, split, index)
    scene = compose.object_scene(_stream(seed, OBJECTS, split, origin, "scene"))
    if origin == index:
        return scene
    image, _ = _jitter(scene.image, _stream(seed, OBJECTS, split, index, "jitter"))
    return replace(scene, image=image, factors=replace(scene.factors, duplicate_of=origin))


def render_detection_scene(seed: int, split: Split, index: int) -> DetectionScene:
    """Image `index` of a split, for detection and segmentation. Boxes and mask of a near-duplicate move with its image."""
    origin = _origin(seed, CROWDS, split, index)
    empty_share = EMPTY_SHARE if split == "pool" else 0.0
    scene = compose.detection_scene(_stream(seed, CROWDS, split, origin, "scene"), empty_share)
    if origin == index:
        return scene
    image, shift = _jitter(scene.image, _stream(seed, CROWDS, split, index, "jitter"))
    objects = tuple(item.moved(*shift) for item in scene.objects)
    factors = replace(scene.factors, duplicate_of=origin)
    return DetectionScene(image, objects, _shifted(scene.mask, *shift), factors)


def render_figure_scene(seed: int, split: Split, index: int) -> FigureScene:
    """Image `index` of a split, for pose estimation. The joints of a near-duplicate move with its image."""
    origin = _origin(seed, FIGURES, split, index)
    scene = compose.figure_scene(_stream(seed, FIGURES, split, origin, "scene"))
    if origin == index:
        return scene
    image, shift = _jitter(scene.image, _stream(seed, FIGURES, split, index, "jitter"))
    factors = replace(scene.factors, duplicate_of=origin)
    return replace(scene, image=image, joints=scene.joints + shift, factors=factors)


def _stream(seed: int, content: int, split: Split, index: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, content, _SPLITS[split], index, _PURPOSES[purpose]])


def _origin(seed: int, content: int, split: Split, index: int) -> int:
    """The index of the image that is not a duplicate and whose scene image `index` shows; often `index` itself."""
    while split == "pool" and index > 0:
        rng = _stream(seed, content, split, index, "duplicate")
        if rng.random() >= DUPLICATE_SHARE:
            break
        index -= 1 + int(rng.integers(min(index, DUPLICATE_REACH)))
    return index


def _jitter(image: Image, rng: np.random.Generator) -> tuple[Image, tuple[int, int]]:
    """The image shifted by up to a pixel, slightly brighter or darker, with new noise; and the shift in x and y."""
    x, y = (int(step) for step in rng.integers(-1, 2, 2))
    moved = _shifted(image, x, y).astype(np.float32)
    return drawing.develop(moved * np.float32(rng.uniform(0.94, 1.06)), rng), (x, y)


def _shifted(image: np.ndarray, x: int, y: int) -> np.ndarray:
    """An image (h w ...) moved by up to a pixel to the right and down; the pixels at its edge are repeated."""
    size = len(image)
    padded = np.pad(image, ((1, 1), (1, 1), *[(0, 0)] * (image.ndim - 2)), mode="edge")
    return padded[1 - y : 1 - y + size, 1 - x : 1 - x + size]
