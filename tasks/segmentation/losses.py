"""The segmentation loss of single images."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from tasks.datasets.masks import VOID


def enlarged(raw: Float[Tensor, "n k h w"], side: int) -> Float[Tensor, "n k s s"]:
    """The logits at the resolution of a label map, interpolated bilinearly."""
    return functional.interpolate(raw, (side, side), mode="bilinear", align_corners=False)


def pixel_losses(raw: Float[Tensor, "n k h w"], labels: Int[Tensor, "n s s"]) -> Float[Tensor, " n"]:
    """The mean cross-entropy over an image's labeled pixels, in nats; 0 for an image without any."""
    logits = enlarged(raw, labels.shape[-1])
    losses = functional.cross_entropy(logits, labels, ignore_index=VOID, reduction="none")
    labeled = (labels != VOID).sum((1, 2))
    return losses.sum((1, 2)) / labeled.clamp(min=1)
