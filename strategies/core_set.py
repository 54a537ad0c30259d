"""Coverage of the embedding space."""

from __future__ import annotations

from typing import ClassVar

from strategies.base import Context, Selection, Strategy
from strategies.geometry import greedy_k_center


class CoreSet(Strategy):
    """Greedy k-center on the model's embeddings, from the labeled images on (Sener & Savarese 2018, algorithm 1).

    Differs from the paper's best arm in that the greedy solution is not refined by a mixed integer program.
    """

    name: ClassVar[str] = "core-set"
    paper: ClassVar[str] = "Sener & Savarese 2018"

    def select(self, ctx: Context) -> Selection:
        """One by one, the candidate farthest from everything labeled or picked; its distance is its score."""
        points = ctx.learner.embeddings(ctx.candidates)
        centers = ctx.learner.embeddings(ctx.labeled)
        with ctx.learner.clock.phase("pick"):
            rows, distances = greedy_k_center(points, centers, ctx.budget)
            return Selection(ctx.candidates[rows.cpu().numpy()], distances.cpu())
