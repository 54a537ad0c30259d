"""Drawing of label maps."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from tasks.datasets.masks import VOID, LabelMap
from tasks.datasets.names import BACKGROUND
from tasks.images.drawing import COLORS

OPACITY = 0.6
DARKER = 0.55
"""Factor of the colors' brightness when all have been used once."""


def draw_labels(image: UInt8[Tensor, "3 c c"], labels: LabelMap, names: tuple[str, ...]) -> UInt8[Tensor, "3 c c"]:
    """Color the pixels of each class of a cell; void ones and those of the background stay.

    Args:
        image: a cell of `tasks.images.drawing`.
        labels: the label map of the whole image.
        names: of the classes.
    """
    side = image.shape[-1]
    scaled = functional.interpolate(torch.from_numpy(labels)[None, None], (side, side), mode="nearest-exact")
    large = scaled[0, 0].to(image.device).long()
    colored = large != VOID
    if BACKGROUND in names:
        colored &= large != names.index(BACKGROUND)
    colors = class_colors(len(names)).to(image.device)
    painted = colors[large.clamp(max=len(names) - 1)].permute(2, 0, 1)
    blended = (OPACITY * painted + (1 - OPACITY) * image).round().to(torch.uint8)
    return torch.where(colored, blended, image)


def class_colors(count: int) -> Float[Tensor, "k 3"]:
    """One color per class, in 0..255: those of all drawings, then darker ones."""
    named = np.array([[int(color[place : place + 2], 16) for place in (1, 3, 5)] for color in COLORS], float)
    rounds = [named * DARKER**step for step in range(-(-count // len(named)))]
    return torch.from_numpy(np.concatenate(rounds)[:count]).float()
