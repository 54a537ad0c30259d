"""Learning loss that heeds diversity and density; ours."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch.nn import functional

from lossnet import ListwiseObjective, RankingObjective
from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.geometry import k_means, nearest_to_centers
from tasks.training.learner import existing
from tasks.training.loop import CoTrained


class LearningLossClusters(Strategy):
    """One image from each of as many clusters as picks, where an image weighs the more, the higher its predicted loss.

    Mends three limits of learning loss (Yoo & Kweon 2019). Its ranking: a module that sees the maximum and the deviation of
    a tap beside its mean, normalised, learns the order of whole batches (`lossnet.listwise`). Its blindness to diversity and
    density: the highest losses lie close together, and often where no other image is; k-means over the embeddings, weighted
    by predicted loss, puts its centers where much loss lies, and each picks the image next to it. Weighted k-means for
    batches is Zhdanov's (2019); differs from it in that no candidate is left out beforehand, and in the weight.

    The weight is the share of candidates of lower or equal predicted loss: the scale of a ranking module says nothing.
    Embeddings are centered and of length 1.
    """

    name: ClassVar[str] = "learning-loss-clusters"
    paper: ClassVar[str] = "Lossbench"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "taps, embeddings"
    cost: ClassVar[str] = "20 N K D"

    power: float = Field(default=1.0, ge=0)
    """Of the weight: 0 ignores the loss. What was tried stands in docs/strategies.md."""

    def auxiliary(self, objective: RankingObjective) -> CoTrained:  # noqa: ARG002 - nothing of it reaches the model
        """A listwise loss module on taps that the model does not feel."""
        return ListwiseObjective()

    def select(self, ctx: Context) -> Selection:
        """The images nearest to the centers; what empty clusters leave is filled by the highest predicted loss."""
        learner, module = ctx.learner, existing(ctx.learner.auxiliary)
        predicted, embeddings = [], []
        for _, outputs in learner.batches(ctx.candidates):
            with torch.no_grad():
                predicted.append(module(outputs.taps))
                embeddings.append(learner.task.embed(outputs))
        losses, points = finite(torch.cat(predicted), "predicted losses"), finite(torch.cat(embeddings), "embeddings")
        with learner.clock.phase("pick"):
            order = losses.argsort()
            weights = torch.empty_like(losses)
            weights[order] = torch.arange(1, len(losses) + 1, device=losses.device) / len(losses)
            points = functional.normalize(points - points.mean(0))
            rows = nearest_to_centers(k_means(points, ctx.budget, ctx.rng, weights=weights**self.power))
            others = order.flip(0)
            rows = torch.cat([rows, others[~torch.isin(others, rows)]])[: ctx.budget]
            return ctx.pick(rows)
