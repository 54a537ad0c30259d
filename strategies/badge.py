"""BADGE: large and diverse gradients."""

from __future__ import annotations

from typing import ClassVar

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.clustering import k_means_plus_plus


class Badge(Strategy):
    """Picks images by k-means++ sampling on their gradient embeddings (Ash et al. 2020, algorithm 1).

    The gradient embedding is the gradient of the loss under the model's own prediction with respect to the weights of
    the head. In classification it is (p - e_y) (x) z (the paper's section 3), and never formed; in pose it is exact, in
    SSD a count sketch of 4,096 numbers (`tasks.training.gradients`).

    Differs from the authors' code in that the first pick is drawn evenly, as in k-means++; there it is the image with the
    largest gradient.
    """

    name: ClassVar[str] = "badge"
    paper: ClassVar[str] = "Ash et al. 2020"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "gradient embeddings"
    cost: ClassVar[str] = "K N (C + D)"

    def select(self, ctx: Context) -> Selection:
        """Pick by k-means++: a candidate is drawn in proportion to its squared distance to the nearest pick."""
        left, right = (finite(factor, "gradients") for factor in ctx.learner.gradient_embeddings(ctx.candidates))
        with ctx.learner.clock.phase("pick"):
            rows = k_means_plus_plus(left, right, ctx.budget, ctx.rng)
            return ctx.pick(rows)
