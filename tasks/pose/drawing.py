"""Drawing of joints and limbs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import ImageDraw
from torch import Tensor

from tasks.datasets.persons import Skeleton
from tasks.images.drawing import CELL_PIXELS, COLORS, image_of, picture_of

RADIUS_PIXELS = 3
"""Of a joint."""


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
    picture = picture_of(image)
    draw = ImageDraw.Draw(picture)
    places: list[tuple[int, int]] = [
        (int(x), int(y)) for x, y in np.asarray(joints, dtype=np.float32) * np.float32(CELL_PIXELS)
    ]
    for first, second in skeleton.limbs:
        if visible[first] and visible[second]:
            draw.line((places[first], places[second]), width=1)
    right, left = skeleton.side("right"), skeleton.side("left")
    middle = [joint for joint in range(len(skeleton.joints)) if joint not in {*right, *left}]
    for own, color in ((right, COLORS[5]), (left, COLORS[1]), (middle, COLORS[3])):
        for x, y in (places[joint] for joint in own if visible[joint]):
            draw.ellipse(
                (x - RADIUS_PIXELS, y - RADIUS_PIXELS, x + RADIUS_PIXELS, y + RADIUS_PIXELS), fill=color, width=0
            )
    return image_of(picture)
