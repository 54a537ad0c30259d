"""How uncertain distributions are. Pure functions; nats."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def entropy(log_probs: Float[Tensor, "n m k"]) -> Float[Tensor, "n m"]:
    """Shannon entropy of each distribution, from 0 to ln k."""
    return torch.special.entr(log_probs.exp()).sum(2)
