"""Vectors written down as numbers, and a number read off a tensor."""

from __future__ import annotations

import torch
from torch import Tensor


def column(*values: float) -> Tensor:
    """A vector of float32."""
    return torch.tensor(values, dtype=torch.float32)


def number(value: Tensor) -> float:
    """Of a tensor that may carry a gradient."""
    return value.detach().item()
