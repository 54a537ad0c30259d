"""Drawing of labels into images, and grids of such images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, resize
from torchvision.utils import draw_bounding_boxes, make_grid

CELL_PIXELS = 128
"""Side of one image in a grid."""
GAP_PIXELS = 4
# Okabe & Ito (2008), as in the charts: one color per class or side of the body.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
DARK_COLORS = {"#0072B2"}
"""Those on which white text has more contrast than black."""


def cell(image: UInt8[Tensor, "3 s s"], mode: InterpolationMode = InterpolationMode.NEAREST) -> UInt8[Tensor, "3 c c"]:
    """An image scaled to the size of a grid cell."""
    return resize(image, [CELL_PIXELS, CELL_PIXELS], mode)


def rendered_cell(image: UInt8[np.ndarray, "s s 3"]) -> UInt8[Tensor, "3 c c"]:
    """A rendered scene scaled to the size of a grid cell."""
    return cell(torch.from_numpy(image.copy()).permute(2, 0, 1))


def draw_boxes(
    image: UInt8[Tensor, "3 c c"], boxes: Float[Tensor, "b 4"], labels: Sequence[int], names: Sequence[str]
) -> UInt8[Tensor, "3 c c"]:
    """Draw boxes and their class names into a cell. Boxes are corners in [0, 1]; `labels` index `names`."""
    if not len(labels):
        return image
    colors: list[str | tuple[int, int, int]] = [COLORS[label % len(COLORS)] for label in labels]
    texts = [names[label] for label in labels]
    text_colors: list[str | tuple[int, int, int]] = ["white" if color in DARK_COLORS else "black" for color in colors]
    corners = (boxes * CELL_PIXELS).clamp(0, CELL_PIXELS - 1)
    return draw_bounding_boxes(image, corners, texts, colors, width=2, label_colors=text_colors, fill_labels=True)


def draw_class(image: UInt8[Tensor, "3 c c"], label: int, names: Sequence[str]) -> UInt8[Tensor, "3 c c"]:
    """Draw the name of an image's class into a cell, with a border in the class's color."""
    return draw_boxes(image, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), [label], names)


def grid(cells: Sequence[UInt8[Tensor, "3 c c"]], columns: int) -> UInt8[Tensor, "3 h w"]:
    """Cells side by side, in rows of `columns`."""
    return make_grid(torch.stack(list(cells)), nrow=columns, padding=GAP_PIXELS, pad_value=255)
