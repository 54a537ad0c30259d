"""PPAL: uncertain images by the difficulty of what they show, then images that show different things."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.information import entropy
from strategies.kernels.matching import Matching, farthest_first, medoids
from strategies.kernels.rows import CELLS, descending, filled, pooled_cells
from tasks.base import Posteriors
from tasks.settings import Number, Whole

NO_EVIDENCE = 1.0
"""Difficulty of a category that no labeled image shows: the value from which the paper's moving average starts."""


class Detections(NamedTuple):
    """The rows of images that count as detections."""

    scores: Float[Tensor, "n m"]
    """0 where a row is none."""
    entropies: Float[Tensor, "n m"]


class PPAL(Strategy):
    """Picks medoids of the images whose detections are most uncertain for their difficulty (Yang et al. 2024).

    Difficulty calibrated uncertainty sampling (section 3.2): the entropies of an image's detections are added up, each
    multiplied by 1 + alpha beta ln(1 + gamma d), with gamma = e^(1 / alpha) - 1 and the difficulty d of the detection's
    category, so that the weight is from 1 to 1 + beta. The `expansion` times the budget images of the highest sums remain.
    Category conditioned matching similarity (section 3.3): of two images' detections those of the same category are compared
    (`strategies.kernels.matching`). Under it the remaining images are clustered around medoids, which are picked, from a
    farthest-first traversal that starts at a random image.

    In rows: a detection is a row of positive weight whose probability of its context is at least `least_score`; that
    probability is its score, and the context its category. Where the categories are the cells of a map, as for a joint, every
    row of positive weight counts and its weight is the score. An image's only row always counts: with one row per image the
    sum is the entropy times the weight of the predicted class, and images of different classes are as far apart as can be.

    Differs from the paper in that the difficulty is not a moving average over the boxes seen in training. It is measured on
    the labeled images after it: 1 - p^xi for a category that an image shows (its groups), where p is the highest
    probability that a detection gives it. The overlap with the true box, which the contract does not give, counts as 1. For
    a joint, whose true cell it does not give either, p is the probability of the likeliest of 8 x 8 blocks.
    Differs from the paper in that all detections of an image have the feature of the image, its embedding: there is none per
    row.
    Differs from the paper in that detections of the same object are not suppressed, so that an object with many rows counts
    more than once.
    Differs from the authors' code in that the entropy of a detection is that of its whole distribution, over all classes and
    the background; there it is that of the two outcomes of its score.
    Images without a detection are picked after all others.
    """

    name: ClassVar[str] = "ppal"
    paper: ClassVar[str] = "Yang et al. 2024"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "posteriors, embeddings, labeled groups"
    cost: ClassVar[str] = "N C + 4 K^2 (D + C) (1 + iterations), 100 iterations at most"

    alpha: Number = Field(default=0.3, gt=0.01, le=100)
    """How fast the weight grows with the difficulty: a small one soon, a large one evenly (authors' code)."""
    beta: Number = Field(default=0.2, ge=0, le=100)
    """The weight is at most 1 plus this (authors' code)."""
    xi: Number = Field(default=0.6, ge=0, le=1)
    """Share of the classification in the difficulty; the rest is the overlap's (authors' code)."""
    expansion: Number = Field(default=4.0, ge=1, le=1000)
    """As many times the budget remain for the second stage (the paper's delta, as in the authors' code)."""
    least_score: Number = Field(default=0.05, ge=0, le=1)
    """Of a detection (authors' code)."""
    iterations: Whole = Field(default=100, ge=0, le=10_000)
    """Of the clustering, at most (authors' code); 0 picks the farthest-first traversal."""

    def select(self, ctx: Context) -> Selection:
        """Pick the medoids of the most uncertain candidates; of equal uncertainty random ones remain."""
        weights = self.category_weights(self.difficulties(ctx))
        uncertainties: list[Tensor] = []
        embeddings: list[Tensor] = []
        shares: list[Tensor] = []
        for _, outputs in ctx.learner.batches(ctx.candidates):
            with torch.no_grad():
                posteriors = ctx.learner.task.posteriors(outputs.raw)
                found = detections(posteriors, self.least_score)
                uncertainties.append((found.entropies * weight_of(posteriors.context, weights)).sum(1))
                shares.append(category_shares(posteriors, found))
                embeddings.append(ctx.learner.task.embed(outputs))
        with ctx.learner.clock.phase("pick"):
            scores = torch.cat(uncertainties)
            kept = descending(scores, ctx.rng)[: math.ceil(self.expansion * ctx.budget)]
            points = functional.normalize(finite(torch.cat(embeddings), "embeddings")[kept])
            width = max(part.shape[1] for part in shares)
            spread = torch.cat([functional.pad(part, (0, width - part.shape[1])) for part in shares])[kept]
            shown = spread.any(1).nonzero().squeeze(1)  # what shows nothing would be the farthest of all
            if len(shown) <= ctx.budget:
                return ctx.pick(filled(kept[shown], kept, ctx.budget))
            images = Matching(points, spread).subset(shown)
            start = farthest_first(images, int(ctx.rng.integers(len(shown))), ctx.budget)
            return ctx.pick(kept[shown[medoids(images, start, self.iterations)]])

    def difficulties(self, ctx: Context) -> Float[Tensor, " c"]:
        """The difficulty of each category, from 0 to 1; of none where nothing is labeled."""
        groups = ctx.labeled_groups()
        sums, counts = torch.zeros(0), torch.zeros(0)
        for start, posteriors in zip(
            range(0, len(ctx.labeled), ctx.learner.batch), ctx.learner.posteriors(ctx.labeled), strict=True
        ):
            shown = groups[start : start + len(posteriors.weight)].to(posteriors.weight.device)
            qualities, seen = category_qualities(posteriors, shown, self.xi)
            width = max(len(sums), qualities.shape[1])
            sums = padded(sums.to(qualities), width) + padded((qualities * seen).sum(0), width)
            counts = padded(counts.to(qualities), width) + padded(seen.to(qualities).sum(0), width)
        return torch.where(counts > 0, 1 - sums / counts.clamp(min=1), NO_EVIDENCE)

    def category_weights(self, difficulties: Float[Tensor, " c"]) -> Float[Tensor, " w"]:
        """The factor of each category's entropies, from 1 to 1 + beta, and last that of a category without evidence."""
        gamma = math.expm1(1 / self.alpha)
        known = torch.cat([difficulties, difficulties.new_full((1,), NO_EVIDENCE)]).double()  # gamma is up to e^100
        return (1 + self.alpha * self.beta * torch.log1p(gamma * known)).to(difficulties.dtype)


def padded(values: Float[Tensor, " c"], width: int) -> Float[Tensor, " w"]:
    """The values, followed by zeros."""
    return functional.pad(values, (0, width - len(values)))


def weight_of(context: Tensor, weights: Float[Tensor, " w"]) -> Float[Tensor, "n m"]:
    """The weight of each row's category; those beyond the known ones have the last."""
    return weights.to(context.device)[context.clamp(max=len(weights) - 1)]


def detections(posteriors: Posteriors, least_score: float) -> Detections:
    """The scores and entropies of an image's detections; 0 for all other rows. The only row of an image is always one.

    Raises:
        SelectionError: a weight, or a number of a row of positive weight, is not finite.
    """
    weight = finite(posteriors.weight, "weights of rows")
    if posteriors.grid is None:
        likely = posteriors.log_probs.gather(2, posteriors.context.unsqueeze(2)).squeeze(2).exp()
        likely = finite(torch.where(weight > 0, likely, 0.0), "posteriors")
        scores = likely if likely.shape[1] == 1 else torch.where(likely >= least_score, likely, 0.0)
    else:
        scores = weight
    entropies = finite(torch.where(weight > 0, entropy(posteriors.log_probs), 0.0), "posteriors")
    return Detections(scores, torch.where(scores > 0, entropies, 0.0))


def category_shares(posteriors: Posteriors, found: Detections) -> Float[Tensor, "n c"]:
    """The share of each category in the summed scores of an image's detections; all 0 where it has none."""
    width = int(posteriors.context.max()) + 1
    sums = found.scores.new_zeros(len(found.scores), width).scatter_add_(1, posteriors.context, found.scores)
    return sums / sums.sum(1, keepdim=True).clamp(min=torch.finfo(sums.dtype).tiny)


def category_qualities(
    posteriors: Posteriors, groups: Bool[Tensor, "n g"], xi: float
) -> tuple[Float[Tensor, "n c"], Bool[Tensor, "n c"]]:
    """How well the model recognizes each category in labeled images, and which of them an image shows.

    Args:
        posteriors: of the images.
        groups: of the images; where rows are about classes, the classes that they show.
        xi: power of the probability.
    """
    used = finite(posteriors.weight, "weights of rows") > 0
    if posteriors.grid is None:
        highest = torch.where(used.unsqueeze(2), posteriors.log_probs, -torch.inf).amax(1).exp()
        width = min(highest.shape[1], groups.shape[1])
        return finite(highest, "posteriors")[:, :width] ** xi, groups[:, :width]
    likeliest = pooled_cells(posteriors.log_probs.exp(), posteriors.grid, CELLS).amax(2)
    qualities = finite(torch.where(used, likeliest, 0.0), "posteriors") ** xi
    joints = functional.one_hot(posteriors.context) * used.unsqueeze(2)  # n m c
    counts = joints.sum(1)
    return (joints * qualities.unsqueeze(2)).sum(1) / counts.clamp(min=1), counts > 0
