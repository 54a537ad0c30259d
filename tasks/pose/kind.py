"""Human pose as a kind of task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.kind import TaskKind
from tasks.pose.settings import PoseSettings
from tasks.tiny import TINY_DATA, TINY_RECIPE

if TYPE_CHECKING:
    import torch
    from jaxtyping import UInt8
    from torch import Tensor

    from tasks.pose.task import PoseTask


class Pose(TaskKind[PoseSettings]):
    """Joints of one person an image."""

    name = "pose"
    settings = PoseSettings
    tiny: ClassVar[Mapping[str, Any]] = {
        "data": TINY_DATA,
        "recipe": TINY_RECIPE,
        "model": {"stacks": 2, "width": 16, "pixels": 32, "depth": 2},
        "sigma": 1.0,
    }

    def build(self, settings: PoseSettings, data: Path, cache: Path, device: torch.device) -> PoseTask:
        """MPII's form or rendered figures, and a stacked hourglass."""
        from tasks.pose.task import PoseTask

        return PoseTask(settings, data, cache, device)

    def draw(
        self,
        image: UInt8[Tensor, "3 c c"],
        annotation: Any,
        group_names: tuple[str, ...],  # noqa: ARG002 - joints need no names
    ) -> UInt8[Tensor, "3 c c"]:
        """Visible joints and the limbs between them; orange is the person's right side, blue the left."""
        from tasks.pose.drawing import jointed

        return jointed(image, annotation.places, annotation.visible)

    def draw_scene(self, seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
        """A rendered figure with its joints."""
        import numpy as np

        from tasks.datasets.scenes import render_figure_scene
        from tasks.images.drawing import rendered_cell
        from tasks.pose.drawing import jointed

        scene = render_figure_scene(seed, "pool", index)
        places = (np.asarray(scene.joints) + 0.5) / len(scene.image)
        return jointed(rendered_cell(scene.image), places, np.asarray(scene.visible))
