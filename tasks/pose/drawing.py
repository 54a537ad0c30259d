"""Drawing of joints and limbs."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torchvision.utils import draw_keypoints

from tasks.datasets.persons import Skeleton
from tasks.images.drawing import CELL_PIXELS, COLORS


def draw_joints(
    image: UInt8[Tensor, "3 c c"],
    joints: Float[np.ndarray, "j 2"],
    visible: Bool[np.ndarray, " j"],
    skeleton: Skeleton,
) -> UInt8[Tensor, "3 c c"]:
    """Draw visible joints and the limbs between them into a cell: the right side of the body orange, the left one blue.

    Args:
        image: a cell of `tasks.images.drawing`.
        joints: x and y in [0, 1] over the image.
        visible: which joints to draw.
        skeleton: the joints' limbs and sides of the body.
    """
    keypoints = torch.from_numpy(np.asarray(joints, dtype=np.float32))[None] * CELL_PIXELS
    visibility = torch.from_numpy(np.asarray(visible))[None]
    limbs = [pair for pair in skeleton.limbs if visibility[0, list(pair)].all()]
    image = draw_keypoints(image, keypoints, limbs, radius=0, width=1, visibility=visibility)
    right, left = skeleton.side("right"), skeleton.side("left")
    middle = [joint for joint in range(len(skeleton.joints)) if joint not in {*right, *left}]
    for own, color in ((right, COLORS[5]), (left, COLORS[1]), (middle, COLORS[3])):
        image = draw_keypoints(image, keypoints[:, own], colors=color, radius=3, visibility=visibility[:, own])
    return image
