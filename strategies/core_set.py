"""Core-set: coverage of the embedding space."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.geometry import greedy_k_center


class CoreSet(Strategy):
    """Picks the image with the embedding farthest from all labeled and picked (Sener & Savarese 2018, algorithm 1).

    This is greedy k-center with the labeled images as initial centers.

    Differs from the paper's best variant in that the greedy solution is not refined by a mixed integer program.
    """

    name: ClassVar[str] = "core-set"
    paper: ClassVar[str] = "Sener & Savarese 2018"
    kind: ClassVar[Kind] = "diversity"
    reads: ClassVar[str] = "embeddings"
    cost: ClassVar[str] = "(L + K) N D"
    cold_start: ClassVar[bool] = True

    def select(self, ctx: Context) -> Selection:
        """Pick one by one the candidate farthest from all labeled and picked images; the score is its distance.

        The first pick is drawn at random if nothing is labeled.
        """
        if not len(ctx.labeled):
            ctx = replace(
                ctx, candidates=ctx.rng.permutation(ctx.candidates)
            )  # the first of them becomes the first center
        points = finite(ctx.learner.embeddings(ctx.candidates), "embeddings")
        centers = finite(ctx.learner.embeddings(ctx.labeled), "embeddings") if len(ctx.labeled) else points[:0]
        with ctx.learner.clock.phase("pick"):
            rows, distances = greedy_k_center(points, centers, ctx.budget)
            return ctx.pick(rows, distances)
