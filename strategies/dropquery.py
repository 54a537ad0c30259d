"""DropQuery: images whose prediction changes under dropout, one per cluster."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, finite, unit_embeddings, unit_rows
from strategies.kernels.clustering import k_means, nearest_to_centers
from strategies.kernels.mixing import UNSTABLE_WEIGHT, changed_weight
from strategies.kernels.rows import descending, filled
from tasks.base import Outputs
from tasks.memory import gathered
from tasks.settings import Number, Whole
from tasks.training.dropout import Dropout


class DropQuery(Strategy):
    """Picks images whose category changes under dropout, those nearest to the centers of k-means (Gupte et al. 2024).

    The features that the head reads go through dropout several times. An image is inconsistent if more than half of these
    passes give another category than the prediction without dropout; k-means puts as many centers among the inconsistent
    images as there are picks. Where nothing is labeled all images are clustered (the paper's initial pool).

    Differs from the paper, with more than one posterior row per image, in that a pass gives another category if it changes
    that of rows of half the weight or more.
    Differs from the paper in that images are embedded by the task's model; on protocols with a pretrained trunk that is
    the trunk, as the paper asks.
    Differs from the paper, where a model computes in bf16, in that its head runs in float32 under dropout, and in bf16 without.
    Differs from the paper in that if fewer images are inconsistent than the budget, those follow that most passes change,
    and then random ones.
    Differs from the authors' code in that k-means sees embeddings of length 1, and makes one start of at most 20 iterations,
    with first centers among at most 16,384 images.
    """

    name: ClassVar[str] = "dropquery"
    paper: ClassVar[str] = "Gupte et al. 2024"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "dropout passes, embeddings"
    cost: ClassVar[str] = "T passes of the head, T N C + 20 N K D"
    cold_start: ClassVar[bool] = True

    passes: Whole = Field(default=3, ge=1, le=10_000)
    """Of the head (the paper)."""
    rate: Number = Field(default=0.75, gt=0, lt=1)
    """Dropout rate on the head's input (a published reimplementation)."""

    def select(self, ctx: Context) -> Selection:
        """Pick the inconsistent images nearest to the centers; if they are too few, continue with the others."""
        if len(ctx.labeled):
            points, changes = self._read(ctx)
        else:
            points = unit_embeddings(ctx, ctx.candidates)
            changes = torch.full_like(points[:, 0], self.passes)
        with ctx.learner.clock.phase("pick"):
            picks = self._clustered(ctx, points, (2 * changes > self.passes).nonzero().squeeze(1))
            return ctx.pick(filled(picks, descending(changes, ctx.rng), ctx.budget))

    def _clustered(self, ctx: Context, points: Float[Tensor, "n d"], rows: Int[Tensor, " u"]) -> Int[Tensor, " k"]:
        """Of these candidates at most as many as the budget, the nearest to the centers of their k-means."""
        if len(rows) <= ctx.budget:
            return rows
        return rows[nearest_to_centers(k_means(gathered(points, rows), ctx.budget, ctx.rng))]

    def _read(self, ctx: Context) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """The unit embedding of each candidate, and how many passes change its category."""
        learner, dropout = ctx.learner, Dropout.of(self.rate, ctx.rng, ctx.learner.task.device)

        def read(outputs: Outputs) -> tuple[Tensor, Tensor]:
            points, before = learner.task.embed(outputs), learner.task.posteriors(outputs.raw)
            finite(before.log_probs.amax(2), "predictions")
            categories = before.log_probs.argmax(2)
            count = torch.zeros_like(points[:, 0])
            for _ in range(self.passes):
                changed = learner.decode(dropout(outputs.features)).log_probs.argmax(2) != categories
                count += changed_weight(before, changed) >= UNSTABLE_WEIGHT
            return points, count

        points, counts = learner.map_all(ctx.candidates, read, share=False)
        return unit_rows(finite(points, "embeddings")), counts
