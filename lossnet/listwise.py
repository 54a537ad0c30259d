"""Listwise loss prediction on channel statistics of the taps: Lossbench's own, not from the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from lossnet.module import LossNet, check_tap_count
from lossnet.objectives import Objective

STATISTICS = 3  # per channel: mean, maximum, standard deviation
VARIANCE_FLOOR = 1e-8  # the standard deviation of a constant map would have no finite gradient


class SummaryLossNet(LossNet):
    """LossNet on the mean, maximum and standard deviation of every channel, each normalized over the training images.

    The mean alone tells neither a sharp peak from a broad one nor an empty map from one whose values cancel. Taps
    differ in scale by orders of magnitude, so that without normalization the largest would dominate.

    Args:
        channels: channels of each tap, in the order in which the taps are passed.
        width: hidden units per tap.
    """

    def __init__(self, channels: Sequence[int], width: int = 128) -> None:
        super().__init__([STATISTICS * count for count in channels], width)
        self.norms = nn.ModuleList(nn.BatchNorm1d(STATISTICS * count, affine=False) for count in channels)

    def forward(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """Predicted losses; only their order has a meaning.

        Args:
            taps: all taps of the model, each (n, channels) or (n, channels, height, width).
        """
        check_tap_count(self, taps, self.tap_count)
        return super().forward([self._normalized(tap, norm) for tap, norm in zip(taps, self.norms, strict=True)])

    def _normalized(self, tap: Tensor, norm: nn.Module) -> Float[Tensor, "n c"]:
        statistics = channel_statistics(tap)
        if self.training and len(tap) == 1:  # one image has no variance: use the running statistics
            return functional.batch_norm(statistics, norm.get_buffer("running_mean"), norm.get_buffer("running_var"))
        return norm(statistics)


def channel_statistics(tap: Float[Tensor, "n c *positions"]) -> Float[Tensor, "n s"]:
    """The means of all channels, then the maxima, then the standard deviations: (n, 3 c)."""
    flat = tap.flatten(2) if tap.ndim > 2 else tap.unsqueeze(2)  # noqa: PLR2004 - (n, c) has no spatial extent
    means = flat.mean(2)
    one_cell = (
        flat.shape[2] == 1
    )  # as of a frozen trunk: torch's variance of single numbers is 100 times slower than their mean
    variances = torch.zeros_like(means) if one_cell else flat.var(2, correction=0)
    return torch.cat([means, flat.amax(2), (variances + VARIANCE_FLOOR).sqrt()], 1)


def list_likelihood_loss(predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Negative log-likelihood of the true order of a batch, per image: ListMLE (Xia et al. 2008, section 4.1).

    Under the Plackett-Luce model images are drawn one by one without replacement, with probabilities proportional to
    exp(prediction); the true order is by decreasing loss. Gradients flow into `predicted` only. A batch of one gives 0.
    """
    ordered = predicted[losses.detach().argsort(descending=True, stable=True)]
    log_normalizers = ordered.flip(0).logcumsumexp(0).flip(0)
    return (log_normalizers - ordered).mean()


@dataclass(frozen=True)
class ListwiseObjective(Objective):
    """Train a `SummaryLossNet` to rank the losses of the whole batch, by default on taps that are always detached."""

    detach_after: float = 0.0

    def build(self, taps: Sequence[Tensor]) -> SummaryLossNet:
        """A new module for these taps, initialized from torch's global generator."""
        return SummaryLossNet([tap.shape[1] for tap in taps], self.width)

    def compare(self, predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """The negative log-likelihood of the true order of the batch."""
        return list_likelihood_loss(predicted, losses)
