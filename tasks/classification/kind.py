"""Classification as a kind of task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.classification.settings import ClassificationSettings
from tasks.datasets.tools.annotated import AnnotatedImage
from tasks.kind import NOT_NEGATIVE, SHARE, Bounds, TaskKind
from tasks.tiny import TINY_DATA, TINY_RECIPE

if TYPE_CHECKING:
    import torch
    from jaxtyping import UInt8
    from torch import Tensor

    from tasks.classification.task import ClassificationTask


CIFAR10_POOL = 50_000
"""The training images of CIFAR-10 (Krizhevsky 2009, section 3.1)."""


class Classification(TaskKind[ClassificationSettings]):
    """One class per image."""

    name = "classification"
    settings = ClassificationSettings
    tiny: ClassVar[Mapping[str, Any]] = {"data": TINY_DATA, "recipe": TINY_RECIPE, "model": {"width": 8}}
    bounds: ClassVar[Mapping[str, Bounds]] = {
        "accuracy": SHARE,
        "balanced_accuracy": SHARE,
        "loss": NOT_NEGATIVE,
    }
    one_group = True
    shape = "choices"

    def pool_size(self, settings: ClassificationSettings) -> int | None:
        """The training images of CIFAR-10, or the rendered ones; None for data of one's own."""
        return super().pool_size(settings) or (CIFAR10_POOL if settings.data.is_cifar10 else None)

    def build(
        self, settings: ClassificationSettings, data: Path, cache: Path, device: torch.device
    ) -> ClassificationTask:
        """Load the images, and choose the model."""
        from tasks.classification.task import ClassificationTask

        return ClassificationTask(settings, data, cache, device)

    def as_labels(
        self, prediction: Any, file: str, size: tuple[int, int], group_names: tuple[str, ...]
    ) -> AnnotatedImage:
        """The class of the whole image."""
        return AnnotatedImage(file, size, choices=(group_names[int(prediction)],))

    def draw(
        self, image: UInt8[Tensor, "3 c c"], annotation: Any, group_names: tuple[str, ...]
    ) -> UInt8[Tensor, "3 c c"]:
        """Draw the class name, and a border in the class's color."""
        from tasks.images.drawing import draw_class

        return draw_class(image, int(annotation), group_names)

    def draw_scene(self, seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
        """A rendered object with its class name drawn in."""
        from tasks.datasets.scenes import CLASSES, render_object_scene
        from tasks.images.drawing import draw_class, rendered_cell

        scene = render_object_scene(seed, "pool", index)
        return draw_class(rendered_cell(scene.image), scene.label, CLASSES)
