"""Drawing of labels into images, and grids of such images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

CELL_PIXELS = 128
"""Side of one image in a grid."""
GAP_PIXELS = 4
# Okabe & Ito (2008), as in the charts: one color per class or side of the body.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
DARK_COLORS = {"#0072B2"}
"""Those on which white text has more contrast than black."""


TEXT_MARGIN_PIXELS = 3
"""Between the corner of a box and the name in it: the box's outline and a pixel."""


def cell(image: UInt8[Tensor, "3 h w"], *, smooth: bool = False) -> UInt8[Tensor, "3 c c"]:
    """An image scaled to the size of a grid cell.

    Args:
        image: the image.
        smooth: whether to average pixels, as for photographs; else each pixel of the cell is one of the image's.
    """
    size = (CELL_PIXELS, CELL_PIXELS)
    if not smooth:
        return functional.interpolate(image[None], size)[0]
    scaled = functional.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0]
    return scaled.round().clamp(0, 255).to(torch.uint8)


def picture_of(image: UInt8[Tensor, "3 h w"]) -> Image.Image:
    """An image for Pillow."""
    return Image.fromarray(image.permute(1, 2, 0).cpu().contiguous().numpy())


def image_of(picture: Image.Image) -> UInt8[Tensor, "3 h w"]:
    """A picture of Pillow as a tensor."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which takes longer to load than a cell to draw."""
    return ImageFont.load_default()


def rendered_cell(image: UInt8[np.ndarray, "s s 3"]) -> UInt8[Tensor, "3 c c"]:
    """A rendered scene scaled to the size of a grid cell."""
    return cell(torch.from_numpy(image.copy()).permute(2, 0, 1))


def draw_boxes(
    image: UInt8[Tensor, "3 c c"], boxes: Float[Tensor, "b 4"], labels: Sequence[int], names: Sequence[str]
) -> UInt8[Tensor, "3 c c"]:
    """Draw boxes and their class names into a cell. Boxes are corners in [0, 1]; `labels` index `names`."""
    if not len(labels):
        return image
    picture = picture_of(image)
    draw = ImageDraw.Draw(picture)
    corners = (boxes * CELL_PIXELS).clamp(0, CELL_PIXELS - 1).to(torch.int64).tolist()
    for (left, top, right, bottom), label in zip(corners, labels, strict=True):
        color, place = COLORS[label % len(COLORS)], (left + TEXT_MARGIN_PIXELS, top + TEXT_MARGIN_PIXELS)
        draw.rectangle((left, top, right, bottom), outline=color, width=2)
        behind = draw.textbbox(place, names[label], font=_font())
        draw.rectangle((behind[0] - 1, behind[1] - 1, behind[2] + 1, behind[3] + 1), fill=color)
        draw.text(place, names[label], fill="white" if color in DARK_COLORS else "black", font=_font())
    return image_of(picture)


def draw_class(image: UInt8[Tensor, "3 c c"], label: int, names: Sequence[str]) -> UInt8[Tensor, "3 c c"]:
    """Draw the name of an image's class into a cell, with a border in the class's color."""
    return draw_boxes(image, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), [label], names)


def grid(cells: Sequence[UInt8[Tensor, "3 c c"]], columns: int) -> UInt8[Tensor, "3 h w"]:
    """Cells side by side, in rows of `columns`."""
    step, rows = CELL_PIXELS + GAP_PIXELS, -(-len(cells) // columns)
    whole = torch.full((3, rows * step + GAP_PIXELS, min(columns, len(cells)) * step + GAP_PIXELS), 255).to(cells[0])
    for place, each in enumerate(cells):
        top, left = (GAP_PIXELS + step * index for index in divmod(place, columns))
        whole[:, top : top + CELL_PIXELS, left : left + CELL_PIXELS] = each
    return whole
