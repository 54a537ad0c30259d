"""Pictures of picks with what the model sees in them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image
from torchvision.utils import draw_bounding_boxes, draw_keypoints, draw_segmentation_masks

from tasks.datasets.masks import nearest
from tasks.datasets.tools.annotated import AnnotatedImage
from tasks.datasets.tools.shapes import decoded
from tasks.images.decoding import decode_upright
from tasks.images.drawing import COLORS, DARK_COLORS
from tasks.images.files import ImageFile

LONGEST_SIDE = 320
"""Of a picture, in pixels."""
JPEG_QUALITY = 85
OPACITY = 0.45
"""Of a region's color."""
Color = str | tuple[int, int, int]


def class_colors(class_names: Sequence[str]) -> dict[str, Color]:
    """The color of each class; from the ninth on they repeat."""
    return {name: COLORS[place % len(COLORS)] for place, name in enumerate(class_names)}


def picture(path: ImageFile, labels: AnnotatedImage, class_names: tuple[str, ...]) -> bytes:
    """A JPEG of an image, reduced, with boxes, joints and regions drawn in."""
    image = decode_upright(path)
    scale = min(1.0, LONGEST_SIDE / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    across, down = width / image.width, height / image.height
    drawn = pil_to_tensor(image.resize((width, height), Image.Resampling.BILINEAR))
    color = class_colors(class_names)
    if labels.regions:
        masks = [nearest(decoded(region.mask), height, width) for region in labels.regions]
        colors: list[Color] = [color[region.label] for region in labels.regions]
        drawn = draw_segmentation_masks(drawn, torch.from_numpy(np.stack(masks)), OPACITY, colors)
    if labels.boxes:
        corners = [(box.left * across, box.top * down, box.right * across, box.bottom * down) for box in labels.boxes]
        colors = [color[box.label] for box in labels.boxes]
        texts: list[Color] = ["white" if each in DARK_COLORS else "black" for each in colors]
        names = [box.label for box in labels.boxes]
        drawn = draw_bounding_boxes(
            drawn, torch.tensor(corners), names, colors, width=2, label_colors=texts, fill_labels=True
        )
    for point in labels.points:
        place = torch.tensor([[[point.x * across, point.y * down]]])
        drawn = draw_keypoints(drawn, place, colors=color[point.label], radius=3)
    content = io.BytesIO()
    to_pil_image(drawn).save(content, "JPEG", quality=JPEG_QUALITY)
    return content.getvalue()
