"""Feature mixing (Parvaneh et al. 2022): anchors, and what mixing does to predictions. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategies.base import SelectionError, finite
from tasks.base import Features, Outputs, Posteriors

UNSTABLE_WEIGHT = 0.5
"""An image is unstable if posterior rows of at least this weight change their category (with one row: if it does)."""
CHUNK_NUMBERS = 2**24
"""Features per chunk, 64 MiB of float32: an image of SSD300 has 1.2 M features, and about ten copies are in memory."""


class Anchors(NamedTuple):
    """Mean features of labeled images, one anchor per group."""

    center: Float[Tensor, " d"]
    """The mean of all anchors."""
    offsets: Float[Tensor, "g d"]
    """Of the anchors from the center; kept separately for precision where all anchors are close together."""

    @classmethod
    def of(cls, means: Float[Tensor, "g d"]) -> Anchors:
        """Anchors at these points."""
        center = means.mean(0)
        return cls(center, means - center)

    def farthest_distances(self, points: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """The Euclidean distance of each point to the anchor farthest from it."""
        centered = points - self.center
        squares = torch.addmm(self.offsets.square().sum(1), centered, self.offsets.T, alpha=-2).amax(1)
        return (squares + centered.square().sum(1)).clamp_(min=0).sqrt_()


def changed_weight(posteriors: Posteriors, changed: Bool[Tensor, "n m"]) -> Float[Tensor, " n"]:
    """The total weight of the rows that change. Equal weights add up to the same, whatever rows they are of."""
    return posteriors.pooled(changed.double()).float()


class MixingEffect(NamedTuple):
    """What feature mixing does to the prediction of each image."""

    changed_weight: Float[Tensor, " n"]
    """Total weight of the posterior rows that change their category, at most 1."""
    distance: Float[Tensor, " n"]
    """Euclidean distance by which the features are moved; infinite for a stable image."""
    divergence: Float[Tensor, " n"]
    """Symmetric Kullback-Leibler divergence between the predictions before and after that move, in nats."""

    @property
    def unstable(self) -> Bool[Tensor, " n"]:
        """Whether the category of each image changes."""
        return self.changed_weight >= UNSTABLE_WEIGHT

    def merge(self, other: MixingEffect) -> MixingEffect:
        """The effect of both moves: the larger changed weight, and the distance and divergence of the shorter move."""
        divergence = torch.where(other.distance < self.distance, other.divergence, self.divergence)
        changed_weight = torch.maximum(self.changed_weight, other.changed_weight)
        return MixingEffect(changed_weight, torch.minimum(self.distance, other.distance), divergence)


def unit_gradients(gradients: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Each gradient scaled to length 1; a gradient of 0 stays 0.

    Raises:
        SelectionError: a gradient is infinite or NaN.
    """
    largest = finite(gradients.abs().amax(1, keepdim=True), "gradients of the loss")
    scaled = gradients / torch.where(largest > 0, largest, 1)  # so that squares neither underflow nor overflow
    return scaled / scaled.norm(dim=1, keepdim=True).clamp_(min=1)


def merge_caps(effects: Iterable[MixingEffect], budget: int) -> MixingEffect:
    """Merge the effects of one cap after another, until more images are unstable than the budget or no cap is left.

    Args:
        effects: of the caps in increasing order; later ones are not computed if they are not needed.
        budget: number of picks.

    Raises:
        SelectionError: there is no cap.
    """
    merged: MixingEffect | None = None
    for effect in effects:
        merged = effect if merged is None else merged.merge(effect)
        if int(merged.unstable.sum()) > budget:
            break
    if merged is None:
        msg = "feature mixing needs at least one cap, and was given none"
        raise SelectionError(msg)
    return merged


def symmetric_divergence(one: Posteriors, other: Posteriors) -> Float[Tensor, "n m"]:
    """KL(p | q) + KL(q | p) of each posterior row, in nats."""
    difference = one.log_probs.exp() - other.log_probs.exp()
    return torch.where(difference == 0, 0.0, difference * (one.log_probs - other.log_probs)).sum(2)


def flatten(features: Features) -> Float[Tensor, "n d"]:
    """All features of an image as one vector."""
    return torch.cat([feature.flatten(1) for feature in features], 1)


def unflatten(points: Float[Tensor, "n d"], like: Features) -> Features:
    """Vectors of features as tensors of the same shapes as `like`; the inverse of `flatten`."""
    parts = points.split([feature[0].numel() for feature in like], 1)
    return tuple(part.view_as(feature) for part, feature in zip(parts, like, strict=True))


def feature_chunks(outputs: Outputs) -> Iterator[Features]:
    """The features of a batch in chunks of images small enough to keep them and their gradients in memory."""
    images = max(1, CHUNK_NUMBERS // sum(feature[0].numel() for feature in outputs.features))
    for start in range(0, len(outputs.features[0]), images):
        yield tuple(feature[start : start + images] for feature in outputs.features)


def concatenate(effects: Sequence[MixingEffect]) -> MixingEffect:
    """The effects of several batches as one."""
    return MixingEffect(*(torch.cat(values) for values in zip(*effects, strict=True)))
