"""Diversity of what a model confuses in each context."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.geometry import Space, farthest_first
from tasks.base import Posteriors

LEAST_WEIGHT = 1e-6  # nats; the paper's epsilon in the weight of a region, whose value it does not give
LEAST_PROBABILITY = 1e-12  # keeps logarithms finite; the paper does not say what it does at 0
Absent = Literal["uniform", "ignored"]


class Mixtures(NamedTuple):
    """What a model confuses, per image and context."""

    probs: Float[Tensor, "n c k"]
    """A distribution over the categories; of no meaning where the context is not present."""
    present: Bool[Tensor, "n c"]
    """Whether a row of weight is about the context."""


class CDAL(Strategy):
    """Greedy k-center under the contextual diversity of two images (Agarwal et al. 2020, CDAL-CS).

    Per context an image has the mixture of its rows, weighted by their entropy (the paper's class-specific confusion); two
    images differ by half the symmetric Kullback-Leibler divergence of their mixtures, summed over contexts (its pairwise
    contextual diversity). A context is a class in detection, a joint in pose; in classification, where the image is the
    only region, there is one, and the mixture is the softmax itself.

    Differs from the paper in that the entropy is multiplied by the row's weight.
    Differs from the paper in that for a context which only one of two images shows, the uniform distribution stands in
    as the other's mixture: in the paper it adds nothing, and two images that share no context are equal: on
    scenes-detection, 100 images labeled, all 1,400 candidates then lie at distance 0 from a labeled one and the first are
    picked. `absent = "ignored"` is the paper's sum.
    Differs from the paper in that the cells of a joint's heatmap are pooled to 8 x 8 blocks.
    Differs from the paper in that the first pick is the image farthest from the labeled ones instead of a random one.
    """

    name: ClassVar[str] = "cdal"
    paper: ClassVar[str] = "Agarwal et al. 2020"
    kind: ClassVar[Kind] = "diversity"
    reads: ClassVar[str] = "posteriors"
    cost: ClassVar[str] = "(L + K) N C, per context"

    absent: Absent = "uniform"
    """What stands for a context that only one of two images shows; "ignored" is the paper's sum."""
    categories: int = Field(default=64, ge=1)
    """At most so many cells of a joint's heatmap are kept; ours, raw ones would take 262 KB an image."""

    def select(self, ctx: Context) -> Selection:
        """One by one, the candidate farthest from everything labeled or picked; its distance is its score."""
        ids, labeled = np.concatenate([ctx.labeled, ctx.candidates]), len(ctx.labeled)
        given = joined(mixtures(each, self.categories) for each in ctx.learner.posteriors(ids))
        with ctx.learner.clock.phase("pick"):
            rows, distances = cdal_picks(given, labeled, ctx.budget, self.absent)
            return ctx.pick(rows - labeled, distances)


def mixtures(posteriors: Posteriors, categories: int = 64) -> Mixtures:
    """Per image and context the mixture of its rows, each as heavy as its weight times its entropy.

    Where an image has a single row there is a single context. Where categories are the cells of a map, cells are pooled.

    Raises:
        SelectionError: a weight, or a probability of a row of weight, is not a number.
    """
    weight = finite(posteriors.weight, "weights of rows")
    most = max(int((weight > 0).sum(1).max()), 1)  # of SSD's 8,732 rows at most 200 have weight
    weight, rows = weight.topk(most, 1)
    contexts = posteriors.context.gather(1, rows)
    log_probs = posteriors.log_probs.gather(1, rows.unsqueeze(2).expand(-1, -1, posteriors.log_probs.shape[2]))
    probs, count = log_probs.exp(), posteriors.context.shape[1]
    if count == 1:
        contexts = torch.zeros_like(contexts)
    if posteriors.grid is not None:
        probs = pooled_cells(probs, posteriors.grid, categories)
    counted = (weight > 0).unsqueeze(2)
    probs = finite(torch.where(counted, probs, 0.0), "posteriors")
    heavy = weight * (torch.special.entr(probs).sum(2) + LEAST_WEIGHT)
    heavy = functional.one_hot(contexts).transpose(1, 2) * heavy.unsqueeze(1)  # n c m
    sums = heavy.sum(2)
    return Mixtures(heavy @ probs / sums.clamp(min=torch.finfo(sums.dtype).tiny).unsqueeze(2), sums > 0)


def pooled_cells(probs: Float[Tensor, "n m k"], grid: tuple[int, int], most: int) -> Float[Tensor, "n m _"]:
    """The cells of maps, row by row, summed over blocks until at most so many are left; blocks differ by a cell at most.

    Args:
        probs: k is height x width.
        grid: height and width of the maps.
        most: cells that may be left; fewer are kept as they are.
    """
    if probs.shape[2] <= most:
        return probs
    blocks = math.isqrt(most)
    down, across = (
        functional.one_hot(torch.arange(side, device=probs.device) * min(blocks, side) // side).to(probs)
        for side in grid
    )
    return torch.einsum("nmyx,yv,xu->nmvu", probs.unflatten(2, grid), down, across).flatten(2)


def joined(parts: Iterable[Mixtures]) -> Mixtures:
    """The mixtures of all batches; contexts that a batch does not know are absent from its images."""
    kept = list(parts)
    most = max(each.present.shape[1] for each in kept)
    missing = [most - each.present.shape[1] for each in kept]
    return Mixtures(
        torch.cat([functional.pad(each.probs, (0, 0, 0, more)) for each, more in zip(kept, missing, strict=True)]),
        torch.cat([functional.pad(each.present, (0, more)) for each, more in zip(kept, missing, strict=True)]),
    )


def contextual_space(given: Mixtures, absent: Absent = "uniform") -> Space:
    """The images under contextual diversity, which unfolds into inner products.

    Of contexts that both images show, KL(p|q) + KL(q|p) = <p, log p> + <q, log q> - <p, log q> - <q, log p>; where only
    one does, <p, log p> - mean(log p), the same against the uniform distribution, or nothing. Half of the sum.
    """
    present = given.present.to(given.probs)
    probs = given.probs.clamp(min=LEAST_PROBABILITY)
    logs = probs.log() * present.unsqueeze(2)
    probs = probs * present.unsqueeze(2)
    own = (probs * logs).sum(2)
    alone = own - logs.mean(2) if absent == "uniform" else torch.zeros_like(own)
    width = probs[0].numel() + present.shape[1]
    both = torch.cat([probs.flatten(1), present, logs.flatten(1), alone - own, probs.flatten(1), present], 1)
    return Space(both[:, : 2 * width], both[:, width:], alone.sum(1) / 2, 0.5)


def cdal_picks(
    given: Mixtures, labeled: int, picks: int, absent: Absent = "uniform"
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Rows picked one by one, each the farthest from all labeled and earlier picks, and its distance to them.

    The first `labeled` rows are labeled. Of equally far ones the first is picked. Costs (l + k) n c categories
    multiplications, as products of matrices, and three copies of the mixtures.
    """
    space = contextual_space(given, absent)
    known, candidates = space.rows(slice(labeled)), space.rows(slice(labeled, None))
    rows, distances = farthest_first(candidates, candidates.nearest(known) if labeled else None, picks)
    return rows + labeled, distances
