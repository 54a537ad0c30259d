"""CDAL: contextual diversity, by the categories that the model confuses in each context."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.geometry import Space, farthest_first_traversal
from strategies.kernels.rows import pooled_cells
from tasks.base import Posteriors
from tasks.settings import Whole

ENTROPY_OFFSET = 1e-6  # nats; the paper's epsilon in the weight of a region, whose value it does not give
LEAST_PROBABILITY = 1e-12  # keeps logarithms finite; the paper does not say how it treats probabilities of 0
Absent = Literal["uniform", "ignored"]


class Mixtures(NamedTuple):
    """The mixture distribution of n images in c contexts, over k categories."""

    probs: Float[Tensor, "n c k"]
    """The mixture of the posterior rows of a context; undefined where the context is absent."""
    present: Bool[Tensor, "n c"]
    """Whether the image has a posterior row of positive weight in the context."""


class CDAL(Strategy):
    """Picks images by greedy k-center on their pairwise contextual diversity (Agarwal et al. 2020, CDAL-CS).

    For each context, an image has the mixture of its posterior rows, weighted by their entropy (the paper's
    class-specific confusion). The distance of two images is half the symmetric Kullback-Leibler divergence of their
    mixtures, summed over contexts (the paper's pairwise contextual diversity). A context is a predicted class in
    detection and a joint in pose. In classification, where the image is the only region, there is one context, and the
    mixture is the softmax itself.

    Differs from the paper in that the entropy is multiplied by the row's weight.
    Differs from the paper in that in a context that only one of two images shows, the other image's mixture is the
    uniform distribution. In the paper such a context adds nothing, so that two images that share no context have
    distance 0: on scenes-detection, 100 images labeled, all 1,400 candidates then have distance 0 from a labeled one
    and the first are picked. `absent = "ignored"` is the paper's sum.
    Differs from the paper in that the cells of a joint's heatmap are pooled to 8 x 8 blocks.
    Differs from the paper in that the first pick is the image farthest from the labeled ones instead of a random one.
    Differs from the authors' code for PASCAL VOC, which compares a single mixture per image, that of all boxes weighted by
    entropy, instead of one per class.
    """

    name: ClassVar[str] = "cdal"
    paper: ClassVar[str] = "Agarwal et al. 2020"
    kind: ClassVar[Kind] = "diversity"
    reads: ClassVar[str] = "posteriors"
    cost: ClassVar[str] = "(L + K) N C, per context"

    absent: Absent = "uniform"
    """How a context counts that only one of two images shows: against the uniform distribution, or not (the paper)."""
    categories: Whole = Field(default=64, ge=1, le=65_536)
    """Maximum number of cells of a joint's heatmap after pooling. Ours; without pooling an image would take 262 KB."""

    def select(self, ctx: Context) -> Selection:
        """Pick one by one the candidate farthest from all labeled and picked images; the score is its distance."""
        ids, labeled = np.concatenate([ctx.labeled, ctx.candidates]), len(ctx.labeled)
        mixtures = concatenate(context_mixtures(batch, self.categories) for batch in ctx.learner.posteriors(ids))
        with ctx.learner.clock.phase("pick"):
            rows, distances = cdal_picks(mixtures, labeled, ctx.budget, self.absent)
            return ctx.pick(rows - labeled, distances)


def context_mixtures(posteriors: Posteriors, categories: int = 64) -> Mixtures:
    """The mixture of the posterior rows of each image and context, weighted by row weight times entropy.

    With one row per image there is a single context.

    Args:
        posteriors: of n images.
        categories: maximum number of categories if they are the cells of a map, which are then pooled.

    Raises:
        SelectionError: a weight, or a probability in a row of positive weight, is not finite.
    """
    weight = finite(posteriors.weight, "weights of rows")
    kept = max(int((weight > 0).sum(1).max()), 1)  # of SSD's 8,732 rows at most 200 have weight
    weight, rows = weight.topk(kept, 1)
    contexts = posteriors.context.gather(1, rows)
    log_probs = posteriors.log_probs.gather(1, rows.unsqueeze(2).expand(-1, -1, posteriors.log_probs.shape[2]))
    probs, count = log_probs.exp(), posteriors.context.shape[1]
    if count == 1:
        contexts = torch.zeros_like(contexts)
    if posteriors.grid is not None:
        probs = pooled_cells(probs, posteriors.grid, categories)
    probs = finite(torch.where((weight > 0).unsqueeze(2), probs, 0.0), "posteriors")
    mixing_weights = weight * (torch.special.entr(probs).sum(2) + ENTROPY_OFFSET)
    mixing_weights = functional.one_hot(contexts).transpose(1, 2) * mixing_weights.unsqueeze(1)  # n c m
    totals = mixing_weights.sum(2)
    smallest = torch.finfo(totals.dtype).tiny
    return Mixtures(mixing_weights @ probs / totals.clamp(min=smallest).unsqueeze(2), totals > 0)


def concatenate(batches: Iterable[Mixtures]) -> Mixtures:
    """The mixtures of several batches as one; contexts that occur in other batches only are absent from an image."""
    parts = list(batches)
    contexts = max(part.present.shape[1] for part in parts)
    return Mixtures(
        torch.cat([functional.pad(part.probs, (0, 0, 0, contexts - part.present.shape[1])) for part in parts]),
        torch.cat([functional.pad(part.present, (0, contexts - part.present.shape[1])) for part in parts]),
    )


def contextual_space(mixtures: Mixtures, absent: Absent = "uniform") -> Space:
    """The images with their contextual diversity as distance, written as inner products.

    A context that both images show adds KL(p|q) + KL(q|p) = <p, log p> + <q, log q> - <p, log q> - <q, log p>. A
    context that only one shows adds the same against the uniform distribution, <p, log p> - mean(log p), or nothing.
    The distance is half of the sum.
    """
    present = mixtures.present.to(mixtures.probs)
    probs = mixtures.probs.clamp(min=LEAST_PROBABILITY)
    logs = probs.log() * present.unsqueeze(2)
    probs = probs * present.unsqueeze(2)
    negative_entropy = (probs * logs).sum(2)
    to_absent = negative_entropy - logs.mean(2) if absent == "uniform" else torch.zeros_like(negative_entropy)
    width = probs[0].numel() + present.shape[1]
    # left and right are overlapping slices of one matrix
    both = torch.cat(
        [probs.flatten(1), present, logs.flatten(1), to_absent - negative_entropy, probs.flatten(1), present], 1
    )
    return Space(both[:, : 2 * width], both[:, width:], to_absent.sum(1) / 2, 0.5)


def cdal_picks(
    mixtures: Mixtures, labeled: int, picks: int, absent: Absent = "uniform"
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Pick images one by one, always the one farthest from all labeled images and earlier picks.

    Costs (l + k) n c categories multiplications, in products of matrices, and three copies of the mixtures.

    Args:
        mixtures: of the labeled images, then of the candidates.
        labeled: number of labeled images.
        picks: how many images to pick; all candidates if there are fewer.
        absent: how contexts count that only one of two images shows.

    Returns:
        The indices of the picks into the mixtures, and the distance of each to the nearest labeled image or earlier
        pick. Of equally far images the first is picked.
    """
    space = contextual_space(mixtures, absent)
    centers, candidates = space.subset(slice(labeled)), space.subset(slice(labeled, None))
    nearest = candidates.distances_to_nearest(centers) if labeled else None
    rows, distances = farthest_first_traversal(candidates, nearest, picks)
    return rows + labeled, distances
