"""Conversion between coordinates of joints and heatmaps."""

from __future__ import annotations

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmpose is imported

import numpy as np
import torch
from jaxtyping import Float
from mmpose.codecs.utils import get_heatmap_maximum, refine_keypoints
from torch import Tensor


def gaussians(joints: Float[Tensor, "n j 2"], side: int, sigma: float) -> Float[Tensor, "n j h w"]:
    """Heatmaps with a Gaussian of height 1 at each joint.

    Differs from Newell et al. in that the peak is not rounded to a cell (mmpose calls this unbiased).

    Args:
        joints: x and y in [0, 1] over the map.
        side: height and width of the maps, in cells.
        sigma: standard deviation of the Gaussian, in cells.
    """
    cells = torch.arange(side, device=joints.device, dtype=joints.dtype) + 0.5
    x, y = ((-0.5 * ((cells - side * joints[..., axis, None]) / sigma) ** 2).exp() for axis in (0, 1))
    return y.unsqueeze(3) * x.unsqueeze(2)


def positive(heatmaps: Float[np.ndarray, "n j h w"]) -> Float[np.ndarray, "n j h w"]:
    """The heatmaps, of which those that are nowhere above 0 are shifted, so that each has a peak."""
    highest, lowest = (each((2, 3), keepdims=True) for each in (heatmaps.max, heatmaps.min))
    return np.where(highest > 0, heatmaps, heatmaps - lowest + 1)


def peaks(heatmaps: Float[np.ndarray, "n j h w"]) -> Float[np.ndarray, "n j 2"]:
    """The position of each heatmap's maximum, shifted a quarter of a cell toward the higher neighbor (Newell et al.).

    Positions are x and y in [0, 1] over the map. A heatmap that is nowhere above 0 has no peak, and the position is just
    outside of the map, as in MMPose.
    """
    cells, _ = get_heatmap_maximum(heatmaps)
    refined = [refine_keypoints(image[None], maps)[0] for image, maps in zip(cells, heatmaps, strict=True)]
    return (np.stack(refined) + 0.5) / heatmaps.shape[-1]
