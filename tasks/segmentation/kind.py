"""Semantic segmentation as a kind of task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.datasets.tools.annotated import AnnotatedImage, LabeledRegion
from tasks.kind import NOT_NEGATIVE, SHARE, Bounds, TaskKind
from tasks.segmentation.settings import SegmentationSettings
from tasks.tiny import TINY_DATA, TINY_RECIPE

if TYPE_CHECKING:
    import torch
    from jaxtyping import UInt8
    from torch import Tensor

    from tasks.segmentation.task import SegmentationTask


class Segmentation(TaskKind[SegmentationSettings]):
    """One class per pixel."""

    name = "segmentation"
    settings = SegmentationSettings
    tiny: ClassVar[Mapping[str, Any]] = {
        "data": TINY_DATA,
        "recipe": TINY_RECIPE,
        "model": {"width": 8, "channels": 16, "pixels": 32},
        "cells": {"grid": 4},
    }
    bounds: ClassVar[Mapping[str, Bounds]] = {
        "mIoU": SHARE,
        "pixel_accuracy": SHARE,
        "class_accuracy": SHARE,
        "loss": NOT_NEGATIVE,
    }
    shape = "regions"

    def build(self, settings: SegmentationSettings, data: Path, cache: Path, device: torch.device) -> SegmentationTask:
        """Load the images and their label maps, and choose the model."""
        from tasks.segmentation.task import SegmentationTask

        return SegmentationTask(settings, data, cache, device)

    def as_labels(
        self, prediction: Any, file: str, size: tuple[int, int], group_names: tuple[str, ...]
    ) -> AnnotatedImage:
        """One region for each class that is predicted, without that of the background."""
        import numpy as np

        from tasks.datasets.masks import nearest
        from tasks.datasets.names import BACKGROUND
        from tasks.datasets.tools.shapes import encoded

        full = nearest(prediction, size[1], size[0])
        shown = [number for number in np.unique(full) if group_names[number] != BACKGROUND]
        regions = (LabeledRegion(group_names[number], encoded(full == number)) for number in shown)
        return AnnotatedImage(file, size, regions=tuple(regions))

    def draw(
        self, image: UInt8[Tensor, "3 c c"], annotation: Any, group_names: tuple[str, ...]
    ) -> UInt8[Tensor, "3 c c"]:
        """Color the pixels of every class but the background."""
        from tasks.segmentation.drawing import draw_labels

        return draw_labels(image, annotation, group_names)

    def draw_scene(self, seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
        """Rendered objects, each colored."""
        from tasks.datasets.scenes import MASK_CLASSES, render_detection_scene
        from tasks.images.drawing import rendered_cell
        from tasks.segmentation.drawing import draw_labels

        scene = render_detection_scene(seed, "pool", index)
        return draw_labels(rendered_cell(scene.image), scene.mask, MASK_CLASSES)
