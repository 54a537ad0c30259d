"""Between places of joints and heatmaps."""

from __future__ import annotations

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmpose is imported

import numpy as np
import torch
from jaxtyping import Float
from mmpose.codecs.utils import get_heatmap_maximum, refine_keypoints
from torch import Tensor


def gaussians(places: Float[Tensor, "n j 2"], side: int, sigma: float) -> Float[Tensor, "n j h w"]:
    """Heatmaps with a peak of 1 at each place, of standard deviation `sigma` in cells.

    Differs from Newell et al. in that the peak is not rounded to a cell (mmpose calls this unbiased).
    """
    cells = torch.arange(side, device=places.device, dtype=places.dtype) + 0.5
    x, y = ((-0.5 * ((cells - side * places[..., axis, None]) / sigma) ** 2).exp() for axis in (0, 1))
    return y.unsqueeze(3) * x.unsqueeze(2)


def peaks(heatmaps: Float[np.ndarray, "n j h w"]) -> Float[np.ndarray, "n j 2"]:
    """The place of each heatmap's maximum, moved by a quarter of a cell towards the higher neighbor (Newell et al.)."""
    cells, _ = get_heatmap_maximum(heatmaps)
    refined = [refine_keypoints(each[None], maps)[0] for each, maps in zip(cells, heatmaps, strict=True)]
    return (np.stack(refined) + 0.5) / heatmaps.shape[-1]
