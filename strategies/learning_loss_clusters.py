"""Learning loss with diversity and density, by weighted k-means; Lossbench's own."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from lossnet import ListwiseObjective, RankingObjective
from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.clustering import k_means, nearest_to_centers
from strategies.kernels.geometry import centered_rows
from strategies.kernels.information import shares_of_lower
from strategies.kernels.rows import filled
from tasks.settings import Number
from tasks.training.learner import trained_module
from tasks.training.step import CoTrained


class LearningLossClusters(Strategy):
    """Picks one image per cluster of a k-means weighted by predicted loss, with as many clusters as picks (Lossbench).

    It addresses three limits of learning loss (Yoo & Kweon 2019). Ranking: the module reads the normalized mean,
    maximum and standard deviation of every channel and learns the order of whole batches (`lossnet.listwise`).
    Diversity and density: the images of highest loss are often similar to each other, and far from all others. k-means
    over the embeddings, weighted by predicted loss, places its centers where the loss is high, and the image nearest to
    each center is picked. Weighted k-means for batches is from Zhdanov (2019); differs from it in that no candidate is
    left out beforehand, and in the weight.

    The weight of an image is the share of candidates with lower or equal predicted loss, because the predictions of a
    ranking module have no scale. Embeddings are centered and scaled to length 1.
    """

    name: ClassVar[str] = "learning-loss-clusters"
    paper: ClassVar[str] = "Lossbench"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "taps, embeddings"
    cost: ClassVar[str] = "20 N K D"

    power: Number = Field(default=1.0, ge=0, le=100)
    """Exponent of the weight; 0 ignores the loss. docs/own-entry.md reports what was tried."""

    def auxiliary(self, objective: RankingObjective) -> CoTrained:  # noqa: ARG002 - the module is always detached
        """A listwise loss predictor on detached taps."""
        return ListwiseObjective()

    def select(self, ctx: Context) -> Selection:
        """Pick the images nearest to the centers; if clusters are empty, continue with the highest predicted losses."""
        learner, module = ctx.learner, trained_module(ctx.learner.auxiliary)
        losses, points = learner.map_all(
            ctx.candidates, lambda outputs: (module(outputs.taps), learner.task.embed(outputs))
        )
        losses, points = finite(losses, "predicted losses"), finite(points, "embeddings")
        with learner.clock.phase("pick"):
            order, weights = losses.argsort(), shares_of_lower(losses)
            rows = nearest_to_centers(k_means(centered_rows(points), ctx.budget, ctx.rng, weights=weights**self.power))
            return ctx.pick(filled(rows, order.flip(0), ctx.budget))
