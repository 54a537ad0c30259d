"""The network that predicts a model's loss from the model's own features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LossNet(nn.Module):
    """Predicts one loss per image from a model's taps.

    Each tap is averaged over its spatial extent and passes Linear(channels, width) and ReLU; the results are
    concatenated and a last linear layer gives one number per image (paper, section 3.2; width 128 there).

    Args:
        channels: channels of each tap, in the order in which the taps are handed over.
        width: hidden units per tap.
    """

    def __init__(self, channels: Sequence[int], width: int = 128) -> None:
        super().__init__()
        if not channels:
            msg = "LossNet needs at least one tap, and was given none"
            raise ValueError(msg)
        self.branches = nn.ModuleList(nn.Linear(count, width) for count in channels)
        self.last = nn.Linear(width * len(channels), 1)

    @classmethod
    def for_taps(cls, taps: Sequence[Tensor], width: int = 128) -> LossNet:
        """A LossNet sized by the taps of one dry forward pass."""
        return cls([tap.shape[1] for tap in taps], width)

    def forward(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """Predicted losses; larger means a larger loss is expected. The scale carries no meaning under ranking.

        Args:
            taps: one tensor per branch, each (n, channels) or (n, channels, height, width).
        """
        self.check(taps)
        hidden = [torch.relu(branch(pooled(tap))) for branch, tap in zip(self.branches, taps, strict=True)]
        return self.last(torch.cat(hidden, dim=1)).squeeze(1)

    def check(self, taps: Sequence[Tensor]) -> None:
        """Raise a ValueError unless there are as many taps as it was built for."""
        if len(taps) != len(self.branches):
            msg = f"{type(self).__name__} was built for {len(self.branches)} taps and was given {len(taps)}"
            raise ValueError(msg)


def pooled(tap: Tensor) -> Float[Tensor, "n c"]:
    """A tap averaged over everything but images and channels."""
    return tap.flatten(2).mean(2) if tap.ndim > 2 else tap  # noqa: PLR2004 - (n, c) has no extent
