"""The network that predicts a model's loss from the model's own features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class TapError(ValueError):
    """A loss predictor is configured to read taps that the model does not have."""


@runtime_checkable
class LossPredictor(Protocol):
    """Any module that predicts losses from taps. Evaluation measures how well it ranks the true losses."""

    def predict_losses(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """One value per image; a larger value means that a larger loss is expected.

        Args:
            taps: all taps of the model, each (n, channels) or (n, channels, height, width).
        """
        ...


class LossNet(nn.Module):
    """Predicts one loss per image from a model's taps.

    Each tap is averaged over its spatial extent and passes Linear(channels, width) and ReLU. The results are
    concatenated, and a last linear layer gives one number per image (paper, section 3.2; width 128 there).

    Args:
        channels: channels of each tap, in the order in which the taps are passed.
        width: hidden units per tap.
        taps: indices of the taps that it reads, from 0; None reads all.

    Raises:
        ValueError: there is no tap to read.
        TapError: the model has no tap of such an index.
    """

    def __init__(self, channels: Sequence[int], width: int = 128, taps: Sequence[int] | None = None) -> None:
        super().__init__()
        self.taps = tuple(range(len(channels)) if taps is None else taps)
        if not self.taps:
            msg = "LossNet needs at least one tap, and was given none"
            raise ValueError(msg)
        if not set(self.taps) <= set(range(len(channels))):
            msg = f"LossNet is set to read taps {self.taps}, but the model has taps 0 to {len(channels) - 1}"
            raise TapError(msg)
        self.tap_count = len(channels)
        self.branches = nn.ModuleList(nn.Linear(channels[tap], width) for tap in self.taps)
        self.last = nn.Linear(width * len(self.taps), 1)

    @classmethod
    def for_taps(cls, taps: Sequence[Tensor], width: int = 128) -> LossNet:
        """A LossNet whose layer sizes follow from the taps of one forward pass."""
        return cls([tap.shape[1] for tap in taps], width)

    def forward(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """Predicted losses: larger means that a larger loss is expected. Trained by ranking, they have no scale.

        Args:
            taps: all taps of the model, each (n, channels) or (n, channels, height, width).
        """
        check_tap_count(self, taps, self.tap_count)
        hidden = [
            torch.relu(branch(spatial_mean(taps[tap]))) for branch, tap in zip(self.branches, self.taps, strict=True)
        ]
        return self.last(torch.cat(hidden, dim=1)).squeeze(1)

    def predict_losses(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """The same as calling the module."""
        return self(taps)


def check_tap_count(module: nn.Module, taps: Sequence[Tensor], expected: int) -> None:
    """Raise a ValueError unless there are as many taps as the module was built for."""
    if len(taps) != expected:
        msg = f"{type(module).__name__} was built for {expected} taps and was given {len(taps)}"
        raise ValueError(msg)


def spatial_mean(tap: Tensor) -> Float[Tensor, "n c"]:
    """A tap averaged over its spatial dimensions."""
    return tap.flatten(2).mean(2) if tap.ndim > 2 else tap  # noqa: PLR2004 - (n, c) has no spatial extent
