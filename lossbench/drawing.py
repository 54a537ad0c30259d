"""Images with their labels drawn in: class names, boxes, joints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, resize
from torchvision.utils import draw_bounding_boxes, draw_keypoints, make_grid

CELL_PIXELS = 128
GAP_PIXELS = 4
# Okabe & Ito (2008), as in the charts: one a class or a side of the body.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
RIGHT, LEFT, MIDDLE = (0, 1, 2, 10, 11, 12), (3, 4, 5, 13, 14, 15), (6, 7, 8, 9)
"""MPII's joints."""
LIMBS = ((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (13, 14), (14, 15))


def cell(image: UInt8[Tensor, "3 s s"], mode: InterpolationMode = InterpolationMode.NEAREST) -> UInt8[Tensor, "3 c c"]:
    """An image at the size of a cell."""
    return resize(image, [CELL_PIXELS, CELL_PIXELS], mode)


def boxed(
    shown: UInt8[Tensor, "3 c c"], boxes: Float[Tensor, "b 4"], labels: Sequence[int], names: Sequence[str]
) -> UInt8[Tensor, "3 c c"]:
    """A cell with boxes, whose corners are in [0, 1], and the names of what they hold."""
    if not len(labels):
        return shown
    colors: list[str | tuple[int, int, int]] = [COLORS[label % len(COLORS)] for label in labels]
    texts = [names[label] for label in labels]
    places = (boxes * CELL_PIXELS).clamp(0, CELL_PIXELS - 1)
    return draw_bounding_boxes(shown, places, texts, colors, width=2, label_colors="black", fill_labels=True)


def classed(shown: UInt8[Tensor, "3 c c"], label: int, names: Sequence[str]) -> UInt8[Tensor, "3 c c"]:
    """A cell with the name of its class."""
    return boxed(shown, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), [label], names)


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


def grid(cells: Sequence[UInt8[Tensor, "3 c c"]], columns: int) -> UInt8[Tensor, "3 h w"]:
    """Cells side by side."""
    return make_grid(torch.stack(list(cells)), nrow=columns, padding=GAP_PIXELS, pad_value=255)
