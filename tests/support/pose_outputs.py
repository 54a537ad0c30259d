"""Where the joints of a pose task are, and heatmaps as a model's raw output."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tasks.pose.task import PoseTask


def places_of(task: PoseTask, ids: np.ndarray) -> Tensor:
    """Of all joints, in [0, 1] over the frame: (n, joints, 2)."""
    return torch.from_numpy(np.stack([each.joints for each in task.annotations[ids]]))


def as_raw(heatmaps: Tensor) -> Tensor:
    """Raw output of two stacks; only the last one may count in predictions."""
    return torch.stack([torch.rand(heatmaps.shape, generator=torch.Generator().manual_seed(0)), heatmaps], 1)
