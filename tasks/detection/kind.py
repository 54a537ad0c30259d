"""Detection as a kind of task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.datasets.tools.annotated import AnnotatedImage, LabeledBox
from tasks.detection.settings import DetectionSettings
from tasks.kind import NOT_NEGATIVE, SHARE, Bounds, TaskKind
from tasks.tiny import TINY_DATA, TINY_RECIPE

if TYPE_CHECKING:
    import torch
    from jaxtyping import UInt8
    from torch import Tensor

    from tasks.detection.task import DetectionTask


class Detection(TaskKind[DetectionSettings]):
    """Boxes around objects, with classes."""

    name = "detection"
    settings = DetectionSettings
    tiny: ClassVar[Mapping[str, Any]] = {
        "data": TINY_DATA,
        "recipe": TINY_RECIPE,
        "model": {"kind": "resnet18", "width": 8, "pixels": 64},
    }
    bounds: ClassVar[Mapping[str, Bounds]] = {
        "mAP": SHARE,
        "mAP_area": SHARE,
        "COCO_AP": SHARE,
        "weight_on_objects": SHARE,
        "loss": NOT_NEGATIVE,
    }

    shape = "boxes"

    def build(self, settings: DetectionSettings, data: Path, cache: Path, device: torch.device) -> DetectionTask:
        """Load the images and their objects, and choose the model."""
        from tasks.detection.task import DetectionTask

        return DetectionTask(settings, data, cache, device)

    def as_labels(
        self, prediction: Any, file: str, size: tuple[int, int], group_names: tuple[str, ...]
    ) -> AnnotatedImage:
        """The detected boxes."""
        corners = (prediction.boxes.astype(float) * (size * 2)).tolist()
        boxes = (LabeledBox(group_names[label], *box) for label, box in zip(prediction.labels, corners, strict=True))
        return AnnotatedImage(file, size, boxes=tuple(boxes))

    def draw(
        self, image: UInt8[Tensor, "3 c c"], annotation: Any, group_names: tuple[str, ...]
    ) -> UInt8[Tensor, "3 c c"]:
        """Draw boxes with their class names; difficult objects are left out."""
        import torch

        from tasks.images.drawing import draw_boxes

        easy = ~annotation.difficult
        return draw_boxes(
            image, torch.from_numpy(annotation.boxes[easy]), annotation.labels[easy].tolist(), group_names
        )

    def draw_scene(self, seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
        """Rendered objects with their boxes drawn in."""
        import torch

        from tasks.datasets.scenes import CLASSES, render_detection_scene
        from tasks.images.drawing import draw_boxes, rendered_cell

        scene = render_detection_scene(seed, "pool", index)
        boxes = torch.tensor([item.box for item in scene.objects]) / len(scene.image)
        return draw_boxes(rendered_cell(scene.image), boxes, [item.label for item in scene.objects], CLASSES)
