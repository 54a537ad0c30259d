"""Training objectives of a loss-prediction module: rank the losses (the paper) or regress them (its ablation)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lossnet.module import LossNet


def ranking_loss(predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"], margin: float = 1.0) -> Tensor:
    """Mean margin ranking loss over the pairs of images (i, n-1-i).

    `max(0, -sign(l_i - l_j) (p_i - p_j) + margin)` for losses l and predictions p (paper, equation 2), where a tie
    counts as l_i < l_j. An odd last item is left out; a batch of one has no pair and gives 0. Gradients flow into
    `predicted` only.
    """
    pairs = len(predicted) // 2
    if pairs == 0:
        return predicted.sum() * 0
    losses = losses.detach()
    predicted_gap = predicted[:pairs] - predicted[: 2 * pairs].flip(0)[:pairs]
    larger = losses[:pairs] > losses[: 2 * pairs].flip(0)[:pairs]
    sign = torch.where(larger, 1.0, -1.0)
    return torch.relu(margin - sign * predicted_gap).mean()


def regression_loss(predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Tensor:
    """Mean squared error of the predicted losses: the ablation that the paper calls MSE."""
    return (predicted - losses.detach()).square().mean()


def ranking_accuracy(predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> float:
    """Share of all pairs of images whose predictions have the same order as their losses, in [0, 1].

    Pairs with equal losses are left out; equal predictions count as half correct. NaN if no pair is left, or a number
    is not finite. Takes n log(n)^2 steps (Knight 1966).
    """
    if not bool(torch.isfinite(torch.stack([predicted, losses])).all()):
        return float("nan")
    ranks = torch.stack([losses.unique(return_inverse=True)[1], predicted.unique(return_inverse=True)[1]])
    total = math.comb(len(losses), 2) - _equal_pairs(ranks[0])
    half_correct = _equal_pairs(ranks[1]) - _equal_pairs(ranks.unique(dim=1, return_inverse=True)[1])
    by_prediction = ranks[:, ranks[1].argsort(stable=True)]
    wrong = _inversions(by_prediction[1, by_prediction[0].argsort(stable=True)])
    return (total - wrong - half_correct / 2) / total if total else float("nan")


def _equal_pairs(values: Int[Tensor, " n"]) -> int:
    """The number of pairs of equal values."""
    counts = values.bincount()
    return int((counts * (counts - 1) // 2).sum())


def _inversions(values: Int[Tensor, " n"]) -> int:
    """The number of pairs in which the earlier value is the larger one, counted while blocks are merged in sorted order."""
    count, width = 0, 1
    while width < len(values):
        missing = -len(values) % (2 * width)
        values = torch.cat([values, values.new_full((missing,), torch.iinfo(values.dtype).max)])
        earlier, later = (half.contiguous() for half in values.view(-1, 2, width).unbind(1))
        count += int((width - torch.searchsorted(earlier, later, right=True)).sum())
        values = values.view(-1, 2 * width).sort(1).values.flatten()
        width *= 2
    return count


@dataclass(frozen=True)
class Objective(ABC):
    """How a loss-prediction module is built and trained beside its model.

    Args:
        weight: factor of this objective in the total loss (the paper's lambda).
        detach_after: share of the training after which no gradient of this objective reaches the model.
        width: hidden units per tap.
    """

    weight: float = 1.0
    detach_after: float = 0.6
    width: int = 128

    @abstractmethod
    def build(self, taps: Sequence[Tensor]) -> nn.Module:
        """A new module for these taps, initialized from torch's global generator."""

    @abstractmethod
    def compare(self, predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """The unweighted loss of predictions against the model's true losses."""

    def phase(self, progress: float) -> bool:
        """Whether the taps are detached at a share of the training; `loss` does the same as long as this is the same."""
        return progress >= self.detach_after

    def loss(
        self, module: nn.Module, taps: Sequence[Tensor], losses: Float[Tensor, " n"], progress: float
    ) -> Float[Tensor, ""]:
        """The weighted training loss of the module.

        Args:
            module: predicts losses from taps.
            taps: of a batch of n images.
            losses: the model's true losses of these images.
            progress: share of the training that is done, in [0, 1]; the taps are detached from `detach_after` on.
        """
        if self.phase(progress):
            taps = [tap.detach() for tap in taps]
        return self.weight * self.compare(module(taps), losses)


@dataclass(frozen=True)
class LossNetObjective(Objective):
    """An objective that trains a `LossNet`.

    Args:
        taps: indices of the taps that it reads, from 0; None reads all.
    """

    taps: tuple[int, ...] | None = None

    def build(self, taps: Sequence[Tensor]) -> LossNet:
        """A new LossNet for these taps, initialized from torch's global generator."""
        return LossNet([tap.shape[1] for tap in taps], self.width, self.taps)


@dataclass(frozen=True)
class RankingObjective(LossNetObjective):
    """The paper's objective: rank pairs of images by their loss.

    Args:
        margin: smallest difference of two correctly ordered predictions that gives a loss of 0 (the paper's xi).
    """

    margin: float = 1.0

    def compare(self, predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """The ranking loss over the batch's pairs."""
        return ranking_loss(predicted, losses, self.margin)


@dataclass(frozen=True)
class RegressionObjective(LossNetObjective):
    """The paper's ablation: regress the loss itself."""

    def compare(self, predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """The mean squared error over the batch."""
        return regression_loss(predicted, losses)
