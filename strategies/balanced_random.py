"""Balanced random: random images, evenly from the groups that the model predicts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from strategies.base import Context, Kind, Selection, Strategy, finite
from tasks.base import Posteriors

ROUNDING = 1e-5
"""By how much equal sums of weights may differ, as a share of them."""


class BalancedRandom(Strategy):
    """Draws images at random, evenly from the groups that the model predicts.

    It is what a practitioner would do who knows that some groups are rare; nnActive's random baselines that take the
    foreground into account are of this kind. The group of an image is the predicted class, and with several posterior rows
    that of the largest weight, of equal ones a random one. Where rows are not about classes (the joints of a pose), it is the group (pose cluster) of
    labeled images the mean of whose unit embeddings has the largest cosine with the image's.

    The groups take turns, in a new random order in each turn, and an image is drawn evenly from its group; a group without
    candidates is left out.
    """

    name: ClassVar[str] = "balanced-random"
    paper: ClassVar[str] = "baseline"
    kind: ClassVar[Kind] = "baseline"
    reads: ClassVar[str] = "posteriors, embeddings, labeled groups"
    cost: ClassVar[str] = "N C"

    def select(self, ctx: Context) -> Selection:
        """Draw one image per group and turn."""
        groups: list[Tensor] = []
        means: Tensor | None = None
        for _, outputs in ctx.learner.batches(ctx.candidates):
            with torch.no_grad():
                posteriors = ctx.learner.task.posteriors(outputs.raw)
                finite(posteriors.log_probs.amax(2), "predictions")
                if posteriors.grid is None:
                    groups.append(heaviest_context(posteriors, ctx.rng))
                    continue
                means = group_means(ctx) if means is None else means
                points = finite(ctx.learner.task.embed(outputs), "embeddings")
                groups.append((functional.normalize(points) @ means.T).argmax(1))
        with ctx.learner.clock.phase("pick"):
            rows = even_draws(torch.cat(groups).cpu().numpy(), ctx.budget, ctx.rng)
            return ctx.pick(torch.from_numpy(rows))


def heaviest_context(posteriors: Posteriors, rng: np.random.Generator) -> Int[Tensor, " n"]:
    """The context of each image whose rows have the largest total weight; of equal ones, up to rounding, a random one."""
    weights = posteriors.weight.new_zeros(len(posteriors.weight), int(posteriors.context.max()) + 1)
    weights.scatter_add_(1, posteriors.context, posteriors.weight)
    equal = weights >= weights.amax(1, keepdim=True) * (1 - ROUNDING)
    several = (equal.sum(1) > 1).nonzero().squeeze(1)
    chosen = equal.int().argmax(1)
    if len(several):
        turns = torch.from_numpy(rng.random((len(several), weights.shape[1]))).to(weights.device)
        chosen[several] = torch.where(equal[several], turns, -1.0).argmax(1)
    return chosen


def group_means(ctx: Context) -> Float[Tensor, "g d"]:
    """The direction of the mean unit embedding of each group that has labeled images; one of 0 if there are none."""
    embeddings = functional.normalize(finite(ctx.learner.embeddings(ctx.labeled), "embeddings"))
    groups = ctx.labeled_groups().to(embeddings)
    sums = groups.T @ embeddings
    used = groups.sum(0) > 0
    return functional.normalize(sums[used]) if bool(used.any()) else torch.zeros_like(embeddings[:1])


def even_draws(groups: Int[np.ndarray, " n"], picks: int, rng: np.random.Generator) -> Int[np.ndarray, " k"]:
    """Indices drawn without replacement, one of each group in turn as long as it has some left."""
    order = rng.permutation(len(groups))
    members = [order[groups[order] == group] for group in np.unique(groups)]
    drawn: list[int] = []
    turn = 0
    while len(drawn) < min(picks, len(groups)):
        drawn += rng.permutation([int(each[turn]) for each in members if turn < len(each)]).tolist()
        turn += 1
    return np.array(drawn[:picks], dtype=np.int64)
