"""ProbCover: coverage of the embedding space by balls of one radius."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, unit_embeddings
from strategies.kernels.clustering import k_means
from strategies.kernels.geometry import Space
from tasks.settings import MOST_IMAGES, Number, Whole

CHUNK = 1024
"""Points per matrix product: at most CHUNK x n distances are in memory at once."""


class ProbCover(Strategy):
    """Picks the image whose ball covers the most images that are not yet covered (Yehuda et al. 2022, algorithm 1).

    The radius is the largest at which a share `purity` of the balls holds a single pseudo-label (the paper's purity).
    It is computed exactly, as a quantile of the distances to the nearest point with another pseudo-label. The coverage
    graph takes one byte per pair, 400 MB for 20,000 candidates, whatever the radius.

    Differs from the paper in that images are embedded by the task's model, not by a self-supervised one.
    Differs from the paper in that with more candidates than `most_candidates`, a random subset of them is used.
    Differs from the paper in that once everything is covered the rest of the budget is drawn at random.
    Differs from the authors' code in that k-means makes one start of at most 20 iterations, with first centers among at most
    16,384 images.
    """

    name: ClassVar[str] = "probcover"
    paper: ClassVar[str] = "Yehuda et al. 2022"
    kind: ClassVar[Kind] = "diversity"
    reads: ClassVar[str] = "embeddings, labeled groups"
    cost: ClassVar[str] = "(N + L)^2 D, N at most 20,000"
    cold_start: ClassVar[bool] = True

    purity: Number = Field(default=0.95, gt=0, le=1)
    """Share of balls that hold a single pseudo-label (the paper's alpha)."""
    most_candidates: Whole = Field(default=20_000, ge=1, le=MOST_IMAGES)
    """Larger pools are reduced to a random subset of this size; ours, because the cost grows with its square."""

    def select(self, ctx: Context) -> Selection:
        """Pick one by one the candidate that covers most, at random if equal; the score is the number it covers."""
        candidates, labeled = ctx.rng.permutation(ctx.narrowed(self.most_candidates).candidates), len(ctx.labeled)
        points = unit_embeddings(ctx, np.concatenate([ctx.labeled, candidates]))
        groups = max(ctx.labeled_groups().shape[1], 1)
        with ctx.learner.clock.phase("pick"):
            radius = pure_radius(points, k_means(points, groups, ctx.rng).assignment, self.purity)
            rows, covered = covering_picks(points, labeled, radius, ctx.budget, ctx.rng)
            return Selection(candidates[rows.cpu().numpy() - labeled], covered.cpu())


def pure_radius(points: Float[Tensor, "n d"], assignment: Int[Tensor, " n"], purity: float) -> float:
    """The largest radius at which a share `purity` of the open balls around the points is pure: holds a single cluster.

    Infinite if so many balls are pure at any radius, for example because there is only one cluster.

    Args:
        points: centers of the balls.
        assignment: the cluster of each point.
        purity: share of pure balls, in (0, 1].
    """
    squares = points.square().sum(1)
    parts = []
    for rows in torch.arange(len(points), device=points.device).split(CHUNK):
        distances = torch.addmm(squares, points[rows], points.T, alpha=-2).add_(squares[rows].unsqueeze(1))
        distances[assignment[rows].unsqueeze(1) == assignment] = torch.inf
        parts.append(distances.amin(1))
    to_other_clusters = torch.cat(parts).clamp_(min=0).sqrt_().sort(descending=True).values
    return float(to_other_clusters[max(math.ceil(purity * len(to_other_clusters)), 1) - 1])


def covering_picks(
    points: Float[Tensor, "n d"], labeled: int, radius: float, picks: int, rng: np.random.Generator
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Pick points one by one, always the one whose open ball holds the most points that are not yet covered.

    The balls of the labeled points cover from the start. Memory: one byte per pair of a candidate and a candidate that
    no labeled point covers.

    Args:
        points: the labeled points, then the candidates.
        labeled: number of labeled points, which are never picked.
        radius: of all balls.
        picks: how many points to pick; all candidates if there are fewer.
        rng: draws the remaining picks once no candidate covers an uncovered point.

    Returns:
        The indices of the picks into the points, and the number of points that each newly covers. Of candidates that
        cover equally many the first is picked.
    """
    space = Space.euclidean(points[labeled:])
    to_labeled = space.distances_to_nearest(Space.euclidean(points[:labeled]))
    initially_uncovered = (to_labeled >= radius**2).nonzero().squeeze(1)
    balls = _balls(space, initially_uncovered, radius)
    uncovered, gains = torch.ones_like(initially_uncovered, dtype=torch.bool), _column_sums(balls)
    chosen: list[int] = []
    chosen_gains: list[int] = []
    while len(chosen) < min(picks, len(gains)):
        gain, best = (int(value) for value in gains.max(0))
        if gain == 0:
            break
        chosen.append(best)
        chosen_gains.append(gain)
        newly_covered = balls[:, best] & uncovered
        uncovered &= ~newly_covered
        gains -= _column_sums(balls[newly_covered])
    remaining = np.setdiff1d(np.arange(len(gains)), chosen)
    chosen += rng.permutation(remaining)[: picks - len(chosen)].tolist()
    chosen_gains += [0] * (len(chosen) - len(chosen_gains))
    rows = torch.tensor(chosen, dtype=torch.long, device=points.device) + labeled
    return rows, torch.tensor(chosen_gains, dtype=points.dtype, device=points.device)


def _balls(space: Space, rows: Int[Tensor, " b"], radius: float) -> Bool[Tensor, "b n"]:
    """[i, j]: whether point rows[i] is in the open ball around point j. A point is always in its own ball."""
    inside = torch.empty(len(rows), len(space.offsets), dtype=torch.bool, device=rows.device)
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        distances = torch.addmm(space.offsets, space.left[chunk], space.right.T, alpha=-space.factor)
        torch.lt(distances, radius**2 - space.offsets[chunk].unsqueeze(1), out=inside[start : start + CHUNK])
    inside[torch.arange(len(rows), device=rows.device), rows] = True  # rounding may have put it outside
    return inside


def _column_sums(balls: Bool[Tensor, "b n"]) -> Int[Tensor, " n"]:
    """The number of True values in each column, by chunks whose sums fit a byte: 100 times faster than torch's sum of booleans."""
    sums = torch.zeros(balls.shape[1], dtype=torch.long, device=balls.device)
    for chunk in balls.view(torch.uint8).split(torch.iinfo(torch.uint8).max):
        sums += chunk.sum(0, dtype=torch.uint8)
    return sums
