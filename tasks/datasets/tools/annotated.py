"""What was labeled in images, or is predicted of them, whatever tool it comes from or goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Shape = Literal["choices", "boxes", "points", "regions"]
"""A field of `AnnotatedImage`: one kind of label."""


class LabeledBox(NamedTuple):
    """An object in an upright box. Pixels of the image, borders of pixels counting from 0."""

    label: str
    left: float
    top: float
    right: float
    bottom: float
    score: float | None = None
    """Of a prediction, in [0, 1]."""


class LabeledPoint(NamedTuple):
    """A joint, in pixels as those of a box."""

    label: str
    x: float
    y: float
    person: int = 0
    """Tells the persons of one image apart."""


class LabeledRegion(NamedTuple):
    """A class's pixels."""

    label: str
    mask: dict[str, Any]
    """Run lengths in COCO's form, `size` (height, width) and `counts` as bytes, as `pycocotools.mask` reads and writes them."""


class AnnotatedImage(NamedTuple):
    """The labels of one image. All empty: somebody looked at it, and found nothing to label."""

    file: str
    """Path from the folder of images, with slashes; of tools that do not keep folders the name alone."""
    size: tuple[int, int] | None = None
    """Width and height in pixels, where the tool says them."""
    choices: tuple[str, ...] = ()
    """Classes of the whole image; one, where images have one class each."""
    boxes: tuple[LabeledBox, ...] = ()
    points: tuple[LabeledPoint, ...] = ()
    regions: tuple[LabeledRegion, ...] = ()
    """Where two overlap, the later one is in front."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was labeled in it."""
        return not (self.choices or self.boxes or self.points or self.regions)


class Annotations(NamedTuple):
    """The content of an export."""

    images: tuple[AnnotatedImage, ...]
    """Those that somebody labeled, in the order of the export."""
    class_names: tuple[str, ...] = ()
    """The classes or joints that the export lists, also those that no image shows; empty where it lists none."""
    skipped: tuple[str, ...] = ()
    """Images of the export without a finished annotation, or with nothing but shapes that are not read, by their paths as in
    `AnnotatedImage.file`. They count as unlabeled, whatever an earlier export says."""
    outlines_in_boxes: bool = False
    """Whether the object of each region has a box among the boxes, too, as in COCO's form."""
    by_shape: Mapping[Shape, tuple[str, ...]] = {}
    """Those of `class_names` that are for labels of a shape, where the export says so."""

    def listed(self, shape: Shape) -> tuple[str, ...]:
        """The classes that the export lists for labels of a shape, or joints for points."""
        return self.by_shape.get(shape, self.class_names)
