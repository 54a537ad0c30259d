"""Composes single scenes from a random generator: their content, their difficulty and their annotations."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, UInt8

from tasks.datasets.scenes import drawing, figure
from tasks.datasets.scenes.drawing import CLASSES, Canvas, Field

Image: TypeAlias = UInt8[np.ndarray, "h w 3"]
Mask: TypeAlias = UInt8[np.ndarray, "h w"]
Box: TypeAlias = tuple[int, int, int, int]

OBJECT_SIZE_PIXELS = 32  # CIFAR-10's
DETECTION_SIZE_PIXELS = 96
FIGURE_SIZE_PIXELS = 96

HARD_SHARE = 0.05  # of the objects in detection scenes
DIFFICULT_OCCLUSION, DIFFICULT_CONTRAST = 0.5, 0.2  # more occlusion or less contrast marks an object as difficult
FREQUENCY_RATIO = 10  # of the most frequent class to the rarest
MIN_VISIBLE_JOINTS = 8
SHOWN = 0.5  # share of a pixel that an object covers, from which on the pixel is of its class

_decay = FREQUENCY_RATIO ** (-np.arange(len(CLASSES)) / (len(CLASSES) - 1))
CLASS_PROBABILITIES: Float[np.ndarray, " k"] = _decay / _decay.sum()


@dataclass(frozen=True)
class Factors:
    """What makes an image hard. Each number is in [0, 1].

    Attributes:
        scale: longer side of the silhouette, or of the box around all joints, relative to the side of the image.
        occlusion: share of the silhouette, or of the joints, that is hidden.
        contrast: factor of the color difference between foreground and background.
        clutter: the number of distractors in the background, divided by 10.
        duplicate_of: index of the pool image of which this one is a near-duplicate; that image is not a duplicate itself.

    In a detection scene they are means over the objects; without objects, scale, occlusion and contrast are 0.
    """

    scale: float
    occlusion: float
    contrast: float
    clutter: float
    duplicate_of: int | None = None


@dataclass(frozen=True)
class ObjectScene:
    """An image of one object. `label` indexes CLASSES."""

    image: Image
    label: int
    factors: Factors


@dataclass(frozen=True)
class SceneObject:
    """An object in a detection scene.

    `box` is left, top, right, bottom of its visible part, in pixels counting from 0; right and bottom are exclusive.
    """

    label: int
    box: Box
    difficult: bool
    occlusion: float
    contrast: float

    def moved(self, x: int, y: int) -> "SceneObject":
        """The same object after its image was shifted by x and y pixels."""
        left, top, right, bottom = self.box
        return replace(self, box=(left + x, top + y, right + x, bottom + y))


@dataclass(frozen=True)
class DetectionScene:
    """An image of up to three objects.

    `mask` has for every pixel 0 or 1 + the class of the object that shows there: of which at least half the pixel is seen.
    """

    image: Image
    objects: tuple[SceneObject, ...]
    mask: Mask
    factors: Factors


@dataclass(frozen=True)
class FigureScene:
    """An image of one person. `joints` are x and y in the order of figure.JOINTS, in pixels, pixel centers at integers from 0.

    Hidden joints have their true position, too. `head_size` is the distance from head top to upper neck.
    """

    image: Image
    joints: Float[np.ndarray, "16 2"]
    visible: Bool[np.ndarray, "16"]
    head_size: float
    factors: Factors


def _tailed(rng: np.random.Generator, usual: tuple[float, float], tail: tuple[float, float], share: float) -> float:
    """A random number, uniform over `tail` with probability `share` and over `usual` otherwise."""
    return float(rng.uniform(*(tail if rng.random() < share else usual)))


def _foreground(label: int, canvas: Canvas, contrast: float, rng: np.random.Generator) -> drawing.Color:
    """The color of an object. A class's hues overlap with those of the two classes whose labels are three apart."""
    hue = 3 * label / len(CLASSES) + rng.normal(0, 0.07)
    return drawing.foreground_color(hue, drawing.mean_color(canvas), contrast, rng)


def object_scene(rng: np.random.Generator) -> ObjectScene:
    """A random scene for classification."""
    size = OBJECT_SIZE_PIXELS
    label = int(rng.choice(len(CLASSES), p=CLASS_PROBABILITIES))
    scale = _tailed(rng, (0.65, 0.88), (0.38, 0.65), 0.1)
    contrast = _tailed(rng, (0.65, 1.0), (0.15, 0.65), 0.1)
    occlusion = _tailed(rng, (0.0, 0.0), (0.1, 0.4), 0.1)
    clutter = float(rng.beta(1, 2))
    back = drawing.background(size, clutter, rng)
    margin = scale * size / 2 + 1.5
    center = rng.uniform(margin, size - margin, 2) - 0.5
    mask = drawing.silhouette(label, size, center, scale * size, rng)
    canvas = drawing.paint(back, mask, _foreground(label, back, contrast, rng))
    if occlusion > 0:
        canvas = drawing.paint(canvas, drawing.cover(mask, occlusion, rng), back[::-1, ::-1])
    return ObjectScene(drawing.develop(canvas, rng), label, Factors(scale, occlusion, contrast, clutter))


@dataclass(frozen=True)
class _Layer:
    """An object as drawn: its whole silhouette, and the part of it that later layers leave visible."""

    label: int
    contrast: float
    mask: Field
    visible: Field

    def below(self, layer: Field) -> "_Layer":
        """This object after another layer was drawn over it."""
        return replace(self, visible=self.visible * (1 - layer))

    def annotation(self) -> SceneObject:
        occlusion = float(1 - self.visible.sum() / self.mask.sum())
        difficult = occlusion > DIFFICULT_OCCLUSION or self.contrast < DIFFICULT_CONTRAST
        return SceneObject(self.label, drawing.bounding_box(self.visible), difficult, occlusion, self.contrast)


def detection_scene(rng: np.random.Generator, empty_share: float) -> DetectionScene:
    """A random scene for detection; with probability `empty_share` it has no object."""
    clutter = float(rng.beta(1, 2))
    back = drawing.background(DETECTION_SIZE_PIXELS, clutter, rng)
    canvas, layers = back, []
    for center, side in _placements(rng) if rng.random() >= empty_share else []:
        layer, canvas, patch = _draw_layer(canvas, back, center, side, rng)
        layers = [earlier.below(layer.mask).below(patch) for earlier in layers] + [layer.below(patch)]
    objects = tuple(layer.annotation() for layer in layers)
    factors = _mean_factors(layers, objects, clutter)
    return DetectionScene(drawing.develop(canvas, rng), objects, _mask(layers), factors)


def _mask(layers: list[_Layer]) -> Mask:
    mask = np.zeros((DETECTION_SIZE_PIXELS, DETECTION_SIZE_PIXELS), np.uint8)
    for layer in layers:
        mask[layer.visible >= SHOWN] = 1 + layer.label
    return mask


def _placements(rng: np.random.Generator) -> list[tuple[np.ndarray, float]]:
    """Centers and sides in pixels of one to three squares that overlap by at most a tenth of the smaller one."""
    size = DETECTION_SIZE_PIXELS
    count = int(rng.choice(3, p=(0.45, 0.35, 0.2))) + 1
    placed: list[tuple[np.ndarray, float]] = []
    for attempt in range(20):
        side = size * rng.uniform(0.22, (0.6, 0.5, 0.42)[count - 1]) * 0.98**attempt
        side = max(side, 0.2 * size)
        center = rng.uniform(side / 2 + 2, size - side / 2 - 2, 2) - 0.5
        overlaps = [_overlap(center, side, *other) for other in placed]
        if all(overlap <= 0.1 for overlap in overlaps):  # noqa: PLR2004 - see the docstring
            placed.append((center, float(side)))
        if len(placed) == count:
            break
    return placed


def _overlap(center: np.ndarray, side: float, other_center: np.ndarray, other_side: float) -> float:
    """The shared area of two squares, relative to the area of the smaller one."""
    shared = (side + other_side) / 2 - np.abs(center - other_center)
    smaller = min(side, other_side)
    return float(np.clip(shared, 0, smaller).prod() / smaller**2)


def _draw_layer(
    canvas: Canvas, back: Canvas, center: np.ndarray, side: float, rng: np.random.Generator
) -> tuple[_Layer, Canvas, Field]:
    """Draw a random object on the canvas. Returns its layer, the new canvas and the patch that occludes the object."""
    label = int(rng.choice(len(CLASSES), p=CLASS_PROBABILITIES))
    contrast = _tailed(rng, (0.65, 1.0), (0.3, 0.65), 0.2)
    occlusion = _tailed(rng, (0.0, 0.0), (0.1, 0.35), 0.15)
    if rng.random() < HARD_SHARE:
        if rng.random() < 0.5:  # noqa: PLR2004 - low contrast and occlusion are equally likely
            contrast = float(rng.uniform(0.1, DIFFICULT_CONTRAST))
        else:
            occlusion = float(rng.uniform(0.55, 0.7))
    mask = drawing.silhouette(label, len(canvas), center, side, rng)
    canvas = drawing.paint(canvas, mask, _foreground(label, back, contrast, rng))
    layer = _Layer(label, contrast, mask, mask)
    if occlusion == 0:
        return layer, canvas, np.zeros_like(mask)
    patch = drawing.cover(mask, occlusion, rng)
    return layer, drawing.paint(canvas, patch, back[::-1, ::-1]), patch


def _mean_factors(layers: list[_Layer], objects: tuple[SceneObject, ...], clutter: float) -> Factors:
    if not layers:
        return Factors(0.0, 0.0, 0.0, clutter)
    boxes = np.array([drawing.bounding_box(layer.mask) for layer in layers])
    scale = (boxes[:, 2:] - boxes[:, :2]).max(axis=1).mean() / DETECTION_SIZE_PIXELS
    hidden, contrast = np.mean([(item.occlusion, item.contrast) for item in objects], axis=0)
    return Factors(float(scale), float(hidden), float(contrast), clutter)


def figure_scene(rng: np.random.Generator) -> FigureScene:
    """A random scene for pose estimation."""
    size = FIGURE_SIZE_PIXELS
    fill = _tailed(rng, (0.8, 1.0), (0.6, 0.8), 0.3)
    contrast = _tailed(rng, (0.65, 1.0), (0.2, 0.65), 0.25)
    clutter = float(rng.beta(1, 2))
    back = drawing.background(size, clutter, rng)
    joints, height = figure.place(figure.sample_skeleton(rng), size, fill, rng)
    canvas = figure.draw_figure(back, joints, height, contrast, rng)
    visible = np.ones(len(joints), bool)
    if rng.random() < 0.25:  # noqa: PLR2004 - the share of images with occlusion
        patch, visible = _hide_joints(joints, height, rng)
        canvas = drawing.paint(canvas, patch, back[::-1, ::-1])
    extent = np.ptp(joints, axis=0).max()
    head_size = float(np.linalg.norm(joints[figure.HEAD_TOP] - joints[figure.NECK]))
    factors = Factors(float(extent / size), float(1 - visible.mean()), contrast, clutter)
    return FigureScene(drawing.develop(canvas, rng), joints, visible, head_size, factors)


def _hide_joints(
    joints: figure.Skeleton, height: float, rng: np.random.Generator
) -> tuple[Field, Bool[np.ndarray, "16"]]:
    """A square patch near a random joint, and which joints stay visible: at least MIN_VISIBLE_JOINTS."""
    center = joints[rng.integers(len(joints))] + rng.normal(0, 0.03 * height, 2)
    half = height * rng.uniform(0.08, 0.18)
    distances = np.abs(joints - center).max(axis=1)
    half = min(half, float(np.sort(distances)[-MIN_VISIBLE_JOINTS]))
    y, x = np.mgrid[:FIGURE_SIZE_PIXELS, :FIGURE_SIZE_PIXELS]
    patch = np.clip(half + 0.5 - np.maximum(np.abs(x - center[0]), np.abs(y - center[1])), 0, 1)
    return patch.astype(np.float32), distances >= half
