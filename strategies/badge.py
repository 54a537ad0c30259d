"""Diverse gradients of large size."""

from __future__ import annotations

from typing import ClassVar

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.geometry import squared_distance_sampling


class Badge(Strategy):
    """k-means++ seeding on hallucinated gradients (Ash et al. 2020, algorithm 1).

    A gradient is that of the loss under the model's own prediction, in the weights of its head. In classification that is
    (p - e_y) (x) z, the paper's section 3, and never formed; in pose it is exact, in SSD a count sketch of 4,096 numbers
    (`tasks.training.gradients`).
    """

    name: ClassVar[str] = "badge"
    paper: ClassVar[str] = "Ash et al. 2020"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "gradient embeddings"
    cost: ClassVar[str] = "K N (C + D)"

    def select(self, ctx: Context) -> Selection:
        """The first is drawn evenly, each next by its squared distance to the nearest pick."""
        left, right = (finite(each, "gradients") for each in ctx.learner.gradient_embeddings(ctx.candidates))
        with ctx.learner.clock.phase("pick"):
            rows = squared_distance_sampling(left, right, ctx.budget, ctx.rng)
            return ctx.pick(rows)
