"""MaxHerding: generalized coverage of the embedding space."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from strategies.base import Context, Kind, Selection, Strategy, unit_embeddings
from strategies.kernels.herding import herding_picks
from tasks.settings import MOST_IMAGES, Number, Whole


class MaxHerding(Strategy):
    """Picks the image that adds most to the generalized coverage of the pool (Bae et al. 2024, MaxHerding).

    The coverage of an image is the largest value of a Gaussian kernel between it and any labeled or picked image, and the
    pool's is the mean. With the indicator of a ball as kernel this is ProbCover.

    Differs from the paper in that images are embedded by the task's model; on protocols with a pretrained trunk that is
    the trunk, as the paper asks.
    Differs from the paper in that with more than 11,585 candidates a candidate's gain is estimated from a random sample of
    the others, 3,834 of 35,000, beside itself; the authors' code holds a matrix of all pairs.
    """

    name: ClassVar[str] = "maxherding"
    paper: ClassVar[str] = "Bae et al. 2024"
    kind: ClassVar[Kind] = "diversity"
    reads: ClassVar[str] = "embeddings"
    cost: ClassVar[str] = "N (min(N, 134 M / N) + L) D + less than K passes over the kernel, N at most 35,000"
    cold_start: ClassVar[bool] = True

    radius: Number = Field(default=1.0, ge=1e-6, le=1e6)
    """Of the kernel, exp(-(distance / radius)^2), on embeddings of length 1 (the paper)."""
    most_candidates: Whole = Field(default=35_000, ge=1, le=MOST_IMAGES)
    """Larger pools are reduced to a random subset of this size (authors' code)."""

    def select(self, ctx: Context) -> Selection:
        """Pick one by one the candidate that adds most to the coverage, at random if equal; the score is what it adds."""
        candidates = ctx.rng.permutation(ctx.narrowed(self.most_candidates).candidates)
        points = unit_embeddings(ctx, np.concatenate([ctx.labeled, candidates]))
        with ctx.learner.clock.phase("pick"):
            labeled, points = points.tensor_split([len(ctx.labeled)])
            rows, scores = herding_picks(
                points, torch.ones_like(points[:, 0]), labeled, self.radius, ctx.budget, ctx.rng
            )
            return Selection(candidates[rows.cpu().numpy()], scores.cpu())
