"""What feature mixing (Parvaneh et al. 2022) does to predictions. Pure functions, on the device of their inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from strategies.base import SelectionError, finite
from tasks.base import Features, Posteriors

CANDIDATE = 0.5
"""Of the weight of an image's rows, so much has to change its category. Of a single row that is: it changes."""


class Anchors(NamedTuple):
    """Mean features of labeled images, one per group."""

    middle: Float[Tensor, " d"]
    offsets: Float[Tensor, "g d"]
    """From the middle: where all lie close together, their differences keep their digits."""

    @classmethod
    def of(cls, means: Float[Tensor, "g d"]) -> Anchors:
        """These points."""
        middle = means.mean(0)
        return cls(middle, means - middle)

    def farthest(self, points: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Distance of each point to the anchor that lies farthest from it."""
        centered = points - self.middle
        squares = torch.addmm(self.offsets.square().sum(1), centered, self.offsets.T, alpha=-2).amax(1)
        return (squares + centered.square().sum(1)).clamp_(min=0).sqrt_()


class Change(NamedTuple):
    """What interpolations did to the prediction of each image."""

    flipped: Float[Tensor, " n"]
    """Weight of the rows that change their category, at most 1."""
    length: Float[Tensor, " n"]
    """How far the features moved; infinite where the image is no candidate."""
    divergence: Float[Tensor, " n"]
    """Symmetric Kullback-Leibler divergence between the predictions before and after that move, in nats."""

    def or_else(self, other: Change) -> Change:
        """Either of two, whichever changes more rows; of two that do, the shorter."""
        divergence = torch.where(other.length < self.length, other.divergence, self.divergence)
        flipped = torch.maximum(self.flipped, other.flipped)
        return Change(flipped, torch.minimum(self.length, other.length), divergence)


def directions(gradients: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Each gradient at length 1; one of length 0 stays so.

    Raises:
        SelectionError: a gradient is infinite or not a number.
    """
    largest = finite(gradients.abs().amax(1, keepdim=True), "gradients of the loss")
    scaled = gradients / torch.where(largest > 0, largest, 1)  # so that squares neither vanish nor overflow
    return scaled / scaled.norm(dim=1, keepdim=True).clamp_(min=1)


def until_enough(changes: Iterable[Change], budget: int) -> Change:
    """The changes at one cap after another, up to the first with more candidates than the budget."""
    found: Change | None = None
    for each in changes:
        found = found.or_else(each) if found else each
        if int((found.flipped >= CANDIDATE).sum()) > budget:
            break
    if found is None:
        msg = "feature mixing needs at least one cap, and was given none"
        raise SelectionError(msg)
    return found


def symmetric_divergence(one: Posteriors, other: Posteriors) -> Float[Tensor, "n m"]:
    """KL(p | q) + KL(q | p) of each row, in nats."""
    difference = one.log_probs.exp() - other.log_probs.exp()
    return torch.where(difference == 0, 0.0, difference * (one.log_probs - other.log_probs)).sum(2)


def flat(features: Features) -> Float[Tensor, "n d"]:
    """All features of an image as one vector."""
    return torch.cat([each.flatten(1) for each in features], 1)


def joined(changes: Sequence[Change]) -> Change:
    """The changes of one batch of images after the other."""
    return Change(*(torch.cat(each) for each in zip(*changes, strict=True)))
