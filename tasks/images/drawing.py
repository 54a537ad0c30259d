"""Images with labels drawn in, and sheets of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, resize
from torchvision.utils import draw_bounding_boxes, make_grid

CELL_PIXELS = 128
GAP_PIXELS = 4
# Okabe & Ito (2008), as in the charts: one a class or a side of the body.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")


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


def rendered_cell(image: UInt8[np.ndarray, "s s 3"]) -> UInt8[Tensor, "3 c c"]:
    """A rendered scene at the size of a cell."""
    return cell(torch.from_numpy(image.copy()).permute(2, 0, 1))


def grid(cells: Sequence[UInt8[Tensor, "3 c c"]], columns: int) -> UInt8[Tensor, "3 h w"]:
    """Cells side by side."""
    return make_grid(torch.stack(list(cells)), nrow=columns, padding=GAP_PIXELS, pad_value=255)
