"""What fits the memory of a GPU, and how many images are computed at once."""

from __future__ import annotations

import torch

RESIDENT_SHARE = 0.4
"""Of the free memory of a GPU: data may take as much; several runs may share a card, and training needs the rest."""
IMAGES_AT_ONCE = 128
"""On a CPU, whose caches are small."""
PIXELS_AT_ONCE = 2**23
MOST_IMAGES_AT_ONCE = 2048
"""On a GPU: 2,048 images of 32 pixels, 128 of 256; a layer of 256 maps of 64 x 64 then takes 268 MB in bf16."""


def fits(device: torch.device, size: int) -> bool:
    """Whether the device is a GPU that can keep so many bytes beside what it trains."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return size <= RESIDENT_SHARE * free


def images_at_once(device: torch.device, side: int) -> int:
    """The number of images of one batch where nothing is trained: in evaluation, and when candidates are scored."""
    if device.type != "cuda":
        return IMAGES_AT_ONCE
    return min(MOST_IMAGES_AT_ONCE, max(IMAGES_AT_ONCE // 2, PIXELS_AT_ONCE // side**2))
