"""Drawing of joints and limbs."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torchvision.utils import draw_keypoints

from tasks.images.drawing import CELL_PIXELS, COLORS

RIGHT, LEFT, MIDDLE = (0, 1, 2, 10, 11, 12), (3, 4, 5, 13, 14, 15), (6, 7, 8, 9)
"""MPII's joints by side of the body."""
LIMBS = ((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (13, 14), (14, 15))
"""Pairs of MPII's joints."""


def draw_joints(
    image: UInt8[Tensor, "3 c c"], joints: Float[np.ndarray, "j 2"], visible: Bool[np.ndarray, " j"]
) -> UInt8[Tensor, "3 c c"]:
    """Draw visible joints and the limbs between them into a cell: the right side of the body orange, the left one blue.

    Args:
        image: a cell of `tasks.images.drawing`.
        joints: x and y in [0, 1] over the image.
        visible: which joints to draw.
    """
    keypoints = torch.from_numpy(np.asarray(joints, dtype=np.float32))[None] * CELL_PIXELS
    visibility = torch.from_numpy(np.asarray(visible))[None]
    limbs = [pair for pair in LIMBS if visibility[0, list(pair)].all()]
    image = draw_keypoints(image, keypoints, limbs, radius=0, width=1, visibility=visibility)
    for side, color in ((RIGHT, COLORS[5]), (LEFT, COLORS[1]), (MIDDLE, COLORS[3])):
        own = list(side)
        image = draw_keypoints(image, keypoints[:, own], colors=color, radius=3, visibility=visibility[:, own])
    return image
