"""The targets of pose estimation, and the heatmap loss of single images."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from tasks.pose.heatmaps import gaussians


class PoseTargets(NamedTuple):
    """What the predicted heatmaps are compared with."""

    heatmaps: Float[Tensor, "n j h w"]
    visible: Bool[Tensor, "n j"]
    """Joints that are not visible add nothing to the loss."""


def pose_targets(joints: Float[Tensor, "n j 2"], visible: Bool[Tensor, "n j"], side: int, sigma: float) -> PoseTargets:
    """Heatmaps of joints.

    Args:
        joints: x and y in [0, 1] over the frame; a joint outside of it counts as not visible.
        visible: which joints are annotated.
        side: height and width of the heatmaps, in cells.
        sigma: standard deviation of the Gaussians, in cells.
    """
    inside = ((joints >= 0) & (joints <= 1)).all(2)
    return PoseTargets(gaussians(joints, side, sigma), visible & inside)


def heatmap_losses(raw: Float[Tensor, "n s j h w"], targets: PoseTargets) -> Float[Tensor, " n"]:
    """Mean squared error over joints and cells, summed over the s stacks; a joint that is not visible adds 0."""
    squares = (raw - targets.heatmaps.unsqueeze(1)).square().mean((3, 4))
    return (squares * targets.visible.unsqueeze(1)).mean(2).sum(1)
