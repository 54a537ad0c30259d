"""A loss-prediction module that sees more of its taps and learns from whole lists; ours, beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from lossnet.module import LossNet, check_tap_count
from lossnet.objectives import Objective

STATISTICS = 3
FLOOR = 1e-8  # added to a variance, so that the deviation of a constant map has a gradient


class SummaryLossNet(LossNet):
    """LossNet on the mean, the maximum and the standard deviation of every channel, normalised over the training images.

    A mean alone tells neither a sharp peak from a broad one nor an empty map from a balanced one; and taps differ in
    scale by orders of magnitude, so that without normalisation the largest decides.
    """

    def __init__(self, channels: Sequence[int], width: int = 128) -> None:
        super().__init__([STATISTICS * count for count in channels], width)
        self.norms = nn.ModuleList(nn.BatchNorm1d(STATISTICS * count, affine=False) for count in channels)

    def forward(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """Predicted losses; the scale carries no meaning.

        Args:
            taps: one tensor per branch, each (n, channels) or (n, channels, height, width).
        """
        check_tap_count(self, taps, self.tap_count)
        return super().forward([self._normalised(tap, norm) for tap, norm in zip(taps, self.norms, strict=True)])

    def _normalised(self, tap: Tensor, norm: nn.Module) -> Float[Tensor, "n c"]:
        alone = self.training and len(tap) == 1  # has no statistics of its own: those so far serve
        summary = summarized(tap)
        if alone:
            return functional.batch_norm(summary, norm.get_buffer("running_mean"), norm.get_buffer("running_var"))
        return norm(summary)


def summarized(tap: Float[Tensor, "n c *places"]) -> Float[Tensor, "n s"]:
    """Mean, maximum and standard deviation of every channel, one after another: (n, 3 c)."""
    flat = tap.flatten(2) if tap.ndim > 2 else tap.unsqueeze(2)  # noqa: PLR2004 - (n, c) has no extent
    return torch.cat([flat.mean(2), flat.amax(2), (flat.var(2, correction=0) + FLOOR).sqrt()], 1)


def list_likelihood_loss(predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Negative log-likelihood of the true order of a batch, per image: ListMLE (Xia et al. 2008, section 4.1).

    Under the model of Plackett and Luce the image of largest loss is drawn first, with a probability proportional to
    exp(prediction), then the next among the rest. Gradients flow into `predicted` only; a batch of one gives 0.
    """
    ordered = predicted[losses.detach().argsort(descending=True, stable=True)]
    rest = ordered.flip(0).logcumsumexp(0).flip(0)
    return (rest - ordered).mean()


@dataclass(frozen=True)
class ListwiseObjective(Objective):
    """Order the losses of the whole batch, on taps that the model does not feel."""

    detach_after: float = 0.0

    def build(self, taps: Sequence[Tensor]) -> SummaryLossNet:
        """A new module for these taps, drawn from torch's global generator."""
        return SummaryLossNet([tap.shape[1] for tap in taps], self.width)

    def compare(self, predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """The negative log-likelihood of the true order."""
        return list_likelihood_loss(predicted, losses)
