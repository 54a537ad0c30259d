"""Coverage of the embedding space."""

from __future__ import annotations

from typing import ClassVar

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.geometry import greedy_k_center


class CoreSet(Strategy):
    """Greedy k-center on the model's embeddings, from the labeled images on (Sener & Savarese 2018, algorithm 1).

    Differs from the paper's best arm in that the greedy solution is not refined by a mixed integer program.
    """

    name: ClassVar[str] = "core-set"
    paper: ClassVar[str] = "Sener & Savarese 2018"
    kind: ClassVar[Kind] = "diversity"
    reads: ClassVar[str] = "embeddings"
    cost: ClassVar[str] = "(L + K) N D"

    def select(self, ctx: Context) -> Selection:
        """One by one, the candidate farthest from everything labeled or picked; its distance is its score."""
        points, centers = (finite(ctx.learner.embeddings(ids), "embeddings") for ids in (ctx.candidates, ctx.labeled))
        with ctx.learner.clock.phase("pick"):
            rows, distances = greedy_k_center(points, centers, ctx.budget)
            return ctx.pick(rows, distances)
