"""Human pose as a kind of task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.datasets.tools.annotated import AnnotatedImage, LabeledPoint
from tasks.kind import NOT_NEGATIVE, SHARE, Bounds, TaskKind
from tasks.pose.settings import PoseSettings
from tasks.tiny import TINY_DATA, TINY_RECIPE

if TYPE_CHECKING:
    import torch
    from jaxtyping import UInt8
    from torch import Tensor

    from tasks.pose.task import PoseTask


class Pose(TaskKind[PoseSettings]):
    """The joints of one person per image."""

    name = "pose"
    settings = PoseSettings
    tiny: ClassVar[Mapping[str, Any]] = {
        "data": TINY_DATA,
        "recipe": TINY_RECIPE,
        "model": {"stacks": 2, "width": 16, "pixels": 32, "depth": 2},
        "sigma": 1.0,
    }
    bounds: ClassVar[Mapping[str, Bounds]] = {
        "PCKh": SHARE,
        "PCK": SHARE,
        "loss": NOT_NEGATIVE,
    }
    one_group = True
    shape = "points"

    def build(self, settings: PoseSettings, data: Path, cache: Path, device: torch.device) -> PoseTask:
        """Load the images and their joints, and choose the model."""
        from tasks.pose.task import PoseTask

        return PoseTask(settings, data, cache, device)

    def as_labels(
        self,
        prediction: Any,
        file: str,
        size: tuple[int, int],
        group_names: tuple[str, ...],  # noqa: ARG002
    ) -> AnnotatedImage:
        """The joints that lie in the image."""
        from tasks.datasets.labeled.points import whole_frame

        x, y, side = whole_frame(size)
        places = ((prediction.joints.astype(float) - 0.5) * side + (x, y)).tolist()
        points = (
            LabeledPoint(name, *place)
            for name, place in zip(prediction.skeleton.joints, places, strict=True)
            if all(0 <= value <= length for value, length in zip(place, size, strict=True))
        )
        return AnnotatedImage(file, size, points=tuple(points))

    def draw(
        self,
        image: UInt8[Tensor, "3 c c"],
        annotation: Any,
        group_names: tuple[str, ...],  # noqa: ARG002 - pose clusters are not drawn
    ) -> UInt8[Tensor, "3 c c"]:
        """Draw visible joints and the limbs between them: the person's right side orange, the left one blue."""
        from tasks.pose.drawing import draw_joints

        return draw_joints(image, annotation.joints, annotation.visible, annotation.skeleton)

    def draw_scene(self, seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
        """A rendered figure with its joints drawn in."""
        import numpy as np

        from tasks.datasets.mpii import MPII_SKELETON
        from tasks.datasets.scenes import render_figure_scene
        from tasks.images.drawing import rendered_cell
        from tasks.pose.drawing import draw_joints

        scene = render_figure_scene(seed, "pool", index)
        joints = (np.asarray(scene.joints) + 0.5) / len(scene.image)
        return draw_joints(rendered_cell(scene.image), joints, np.asarray(scene.visible), MPII_SKELETON)
