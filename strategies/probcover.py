"""Coverage of the embedding space by balls of one size."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, unit_embeddings
from strategies.kernels.geometry import Space, k_means

CHUNK = 1024
"""Points whose balls are looked at once: bounds memory to CHUNK x n distances."""


class ProbCover(Strategy):
    """Greedily, the image whose ball covers most of what is not yet covered (Yehuda et al. 2022, algorithm 1).

    The radius is the largest at which a share `purity` of the balls holds one pseudo-label only (the paper's purity), found
    exactly: it is a quantile of the distances to the nearest point with another pseudo-label. The graph of who covers whom
    takes one byte a pair, 400 MB for 20,000 candidates, however large the balls are.

    Differs from the paper in that images are embedded by the task's model, not by a self-supervised one.
    Differs from the paper in that of more candidates than `most_candidates` a random subset is covered and picked from.
    Differs from the paper in that once everything is covered the rest of the budget is drawn at random.
    """

    name: ClassVar[str] = "probcover"
    paper: ClassVar[str] = "Yehuda et al. 2022"
    kind: ClassVar[Kind] = "diversity"
    reads: ClassVar[str] = "embeddings, groups"
    cost: ClassVar[str] = "(N + L)^2 D, N at most 20,000"

    purity: float = Field(default=0.95, gt=0, le=1)
    """Share of balls that hold one pseudo-label only (the paper's alpha)."""
    most_candidates: int = Field(default=20_000, ge=1)
    """Of more, a random subset; ours, the cost grows with its square."""

    def select(self, ctx: Context) -> Selection:
        """One by one, the candidate that covers most, of equal ones a random one; how many it covers is its score."""
        candidates, labeled = ctx.rng.permutation(ctx.narrowed(self.most_candidates).candidates), len(ctx.labeled)
        points = unit_embeddings(ctx, np.concatenate([ctx.labeled, candidates]))
        groups = max(ctx.labeled_groups().shape[1], 1)
        with ctx.learner.clock.phase("pick"):
            radius = pure_radius(points, k_means(points, groups, ctx.rng).member, self.purity)
            rows, covered = covering_picks(points, labeled, radius, ctx.budget, ctx.rng)
            return Selection(candidates[rows.cpu().numpy() - labeled], covered.cpu())


def pure_radius(points: Float[Tensor, "n d"], member: Int[Tensor, " n"], purity: float) -> float:
    """The largest radius at which this share of open balls around the points holds points of one cluster only.

    Infinite where so many see no other cluster, as where there is one only.
    """
    squares = points.square().sum(1)
    parts = []
    for rows in torch.arange(len(points), device=points.device).split(CHUNK):
        far = torch.addmm(squares, points[rows], points.T, alpha=-2).add_(squares[rows].unsqueeze(1))
        far[member[rows].unsqueeze(1) == member] = torch.inf
        parts.append(far.amin(1))
    foreign = torch.cat(parts).clamp_(min=0).sqrt_().sort(descending=True).values
    return float(foreign[max(math.ceil(purity * len(foreign)), 1) - 1])


def covering_picks(
    points: Float[Tensor, "n d"], labeled: int, radius: float, picks: int, rng: np.random.Generator
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Rows picked one by one, each with the most points in its open ball that are not yet covered, and their number.

    The first `labeled` rows cover first and are never picked. Of rows that cover equally many the first is picked; when
    nobody covers anything more, the rest is drawn evenly, and covers 0. Holds one byte per pair of a candidate and a
    candidate that no labeled point covers.
    """
    space = Space.euclidean(points[labeled:])
    bare = (space.nearest(Space.euclidean(points[:labeled])) >= radius**2).nonzero().squeeze(1)
    balls = _balls(space, bare, radius)
    waiting, covers = torch.ones_like(bare, dtype=torch.bool), _counts(balls)
    chosen: list[int] = []
    gains: list[int] = []
    while len(chosen) < min(picks, len(covers)):
        gain, best = (int(each) for each in covers.max(0))
        if gain == 0:
            break
        chosen.append(best)
        gains.append(gain)
        new = balls[:, best] & waiting
        waiting &= ~new
        covers -= _counts(balls[new])
    left = np.setdiff1d(np.arange(len(covers)), chosen)
    chosen += rng.permutation(left)[: picks - len(chosen)].tolist()
    found = torch.tensor(gains + [0] * (len(chosen) - len(gains)), dtype=points.dtype, device=points.device)
    return torch.tensor(chosen, dtype=torch.long, device=points.device) + labeled, found


def _balls(space: Space, rows: Int[Tensor, " b"], radius: float) -> Bool[Tensor, "b n"]:
    """Who lies nearer to whom than the radius; each to himself, whatever rounding says."""
    inside = torch.empty(len(rows), len(space.offsets), dtype=torch.bool, device=rows.device)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        far = torch.addmm(space.offsets, space.left[part], space.right.T, alpha=-space.factor)
        torch.lt(far, radius**2 - space.offsets[part].unsqueeze(1), out=inside[start : start + CHUNK])
    inside[torch.arange(len(rows), device=rows.device), rows] = True
    return inside


def _counts(balls: Bool[Tensor, "b n"]) -> Int[Tensor, " n"]:
    """In how many balls each lies; in parts, because torch adds up truth values as 8-byte numbers."""
    counts = torch.zeros_like(balls[:0].sum(0))
    for part in balls.split(CHUNK):
        counts += part.sum(0)
    return counts
