"""Persons with joints and limbs drawn in."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torchvision.utils import draw_keypoints

from tasks.images.drawing import CELL_PIXELS, COLORS

RIGHT, LEFT, MIDDLE = (0, 1, 2, 10, 11, 12), (3, 4, 5, 13, 14, 15), (6, 7, 8, 9)
"""MPII's joints."""
LIMBS = ((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (13, 14), (14, 15))


def jointed(
    shown: UInt8[Tensor, "3 c c"], joints: Float[np.ndarray, "j 2"], visible: Bool[np.ndarray, " j"]
) -> UInt8[Tensor, "3 c c"]:
    """A cell with the visible joints, whose places are in [0, 1], and limbs; orange is the right side, blue the left."""
    places = torch.from_numpy(np.asarray(joints, dtype=np.float32))[None] * CELL_PIXELS
    seen = torch.from_numpy(np.asarray(visible))[None]
    limbs = [pair for pair in LIMBS if seen[0, list(pair)].all()]
    shown = draw_keypoints(shown, places, limbs, radius=0, width=1, visibility=seen)
    for side, color in ((RIGHT, COLORS[5]), (LEFT, COLORS[1]), (MIDDLE, COLORS[3])):
        own = list(side)
        shown = draw_keypoints(shown, places[:, own], colors=color, radius=3, visibility=seen[:, own])
    return shown
