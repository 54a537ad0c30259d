"""What a loss-prediction module is trained for: to rank losses (the paper) or to regress them (its ablation)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lossnet.module import LossNet


def ranking_loss(predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"], margin: float = 1.0) -> Tensor:
    """Mean hinge over the pairs (i, n-1-i) whose predictions should stand in the order of their losses.

    `max(0, -sign(l_i - l_j) (p_i - p_j) + margin)` (paper, equation 2), where a tie counts as l_i < l_j. An odd
    last item is left out; a batch of one has no pair and gives 0. Gradients flow into `predicted` only.
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
    """Share of all pairs of images whose predictions stand in the order of their losses, in [0, 1].

    Pairs of equal losses are left out; equal predictions count as half right. Not a number when no pair is left.
    """
    right = total = 0.0
    for one in range(len(losses) - 1):  # a row at a time: memory grows with n, not with its square
        order = (losses[one] - losses[one + 1 :]).sign()
        guess = (predicted[one] - predicted[one + 1 :]).sign()
        decided = order != 0
        right += float((((order * guess) + 1) / 2)[decided].sum())
        total += float(decided.sum())
    return right / total if total else float("nan")


@dataclass(frozen=True)
class Objective(ABC):
    """How a loss-prediction module is built and trained beside its model.

    Args:
        weight: factor of this objective in the total loss (the paper's lambda).
        detach_after: share of the training after which the model no longer receives gradients of this objective.
        width: hidden units per tap.
    """

    weight: float = 1.0
    detach_after: float = 0.6
    width: int = 128

    @abstractmethod
    def build(self, taps: Sequence[Tensor]) -> nn.Module:
        """A new module for these taps, drawn from torch's global generator."""

    @abstractmethod
    def compare(self, predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """The unweighted loss of predictions against the model's true losses."""

    def loss(
        self, module: nn.Module, taps: Sequence[Tensor], losses: Float[Tensor, " n"], progress: float
    ) -> Float[Tensor, ""]:
        """The weighted training loss of the module; from `progress` (in [0, 1]) on, the taps are detached."""
        if progress >= self.detach_after:
            taps = [tap.detach() for tap in taps]
        return self.weight * self.compare(module(taps), losses)


@dataclass(frozen=True)
class LossNetObjective(Objective):
    """An objective that trains a `LossNet`.

    Args:
        taps: which taps it reads, by number from 0; all where not given.
    """

    taps: tuple[int, ...] | None = None

    def build(self, taps: Sequence[Tensor]) -> LossNet:
        """A new LossNet for these taps, drawn from torch's global generator."""
        return LossNet([tap.shape[1] for tap in taps], self.width, self.taps)


@dataclass(frozen=True)
class RankingObjective(LossNetObjective):
    """The paper's objective: rank pairs of images by their loss.

    Args:
        margin: least difference of two predictions that costs nothing (the paper's xi).
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
