"""The network that predicts a model's loss from the model's own features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class TapError(ValueError):
    """A module is to look at taps that a model does not have."""


class LossNet(nn.Module):
    """Predicts one loss per image from a model's taps.

    Each tap is averaged over its spatial extent and passes Linear(channels, width) and ReLU; the results are
    concatenated and a last linear layer gives one number per image (paper, section 3.2; width 128 there).

    Args:
        channels: channels of each tap, in the order in which the taps are handed over.
        width: hidden units per tap.
        seen: numbers of the taps that it looks at; all where not given.

    Raises:
        ValueError: no tap to look at.
        TapError: none of that number.
    """

    def __init__(self, channels: Sequence[int], width: int = 128, seen: Sequence[int] | None = None) -> None:
        super().__init__()
        self.seen = tuple(range(len(channels)) if seen is None else seen)
        if not self.seen:
            msg = "LossNet needs at least one tap, and was given none"
            raise ValueError(msg)
        if not set(self.seen) <= set(range(len(channels))):
            msg = f"LossNet is to look at taps {self.seen}, and the model has taps 0 to {len(channels) - 1}"
            raise TapError(msg)
        self.given = len(channels)
        self.branches = nn.ModuleList(nn.Linear(channels[tap], width) for tap in self.seen)
        self.last = nn.Linear(width * len(self.seen), 1)

    @classmethod
    def for_taps(cls, taps: Sequence[Tensor], width: int = 128) -> LossNet:
        """A LossNet sized by the taps of one dry forward pass."""
        return cls([tap.shape[1] for tap in taps], width)

    def forward(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """Predicted losses; larger means a larger loss is expected. The scale carries no meaning under ranking.

        Args:
            taps: all of the model's, each (n, channels) or (n, channels, height, width).
        """
        self.check(taps)
        hidden = [torch.relu(branch(pooled(taps[tap]))) for branch, tap in zip(self.branches, self.seen, strict=True)]
        return self.last(torch.cat(hidden, dim=1)).squeeze(1)

    def check(self, taps: Sequence[Tensor]) -> None:
        """Raise a ValueError unless there are as many taps as it was built for."""
        if len(taps) != self.given:
            msg = f"{type(self).__name__} was built for {self.given} taps and was given {len(taps)}"
            raise ValueError(msg)


def pooled(tap: Tensor) -> Float[Tensor, "n c"]:
    """A tap averaged over everything but images and channels."""
    return tap.flatten(2).mean(2) if tap.ndim > 2 else tap  # noqa: PLR2004 - (n, c) has no extent
