"""The classification loss of single images."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The cross-entropy of each image, in nats."""
    return functional.cross_entropy(logits, labels, reduction="none")
