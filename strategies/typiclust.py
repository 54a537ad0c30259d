"""Typical images of many clusters."""

from __future__ import annotations

import heapq
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, unit_embeddings
from strategies.kernels.geometry import k_means

CHUNK = 1024
"""Points whose neighbors are sought at once."""
SOUGHT = 10_000
"""Neighbors are sought among at most so many points of a cluster, or a million points in few clusters would take days."""


class TypiClust(Strategy):
    """The most typical image of the cluster that is labeled least, again and again (Hacohen et al. 2022, algorithm 1).

    Differs from the paper in that images are embedded by the task's model, not by a self-supervised one.
    Differs from the paper in that k-means never works on mini-batches.
    Differs from the paper in that in a cluster of more than 10,000 points neighbors are sought among 10,000 of them.
    """

    name: ClassVar[str] = "typiclust"
    paper: ClassVar[str] = "Hacohen et al. 2022"
    kind: ClassVar[Kind] = "diversity"
    reads: ClassVar[str] = "embeddings"
    cost: ClassVar[str] = "N D (clusters + N / clusters), min(L + K, 500) clusters"

    most_clusters: int = Field(default=500, ge=1)
    """As many clusters as labeled images and picks, but never more (the authors' code)."""
    neighbors: int = Field(default=20, ge=1)
    """How many neighbors typicality averages over (the paper)."""
    smallest_cluster: int = Field(default=5, ge=1)
    """Clusters of fewer points come only after all others (the authors' code leaves them out)."""

    def select(self, ctx: Context) -> Selection:
        """One by one, the most typical candidate of the cluster with the fewest labeled, then of the largest."""
        points = unit_embeddings(ctx, np.concatenate([ctx.labeled, ctx.candidates]))
        with ctx.learner.clock.phase("pick"):
            clusters = min(len(ctx.labeled) + ctx.budget, self.most_clusters)
            member = k_means(points, clusters, ctx.rng).member
            rows = typical_picks(
                points, member, len(ctx.labeled), ctx.budget, self.neighbors, smallest=self.smallest_cluster
            )
            return ctx.pick(rows - len(ctx.labeled))


def typical_picks(
    points: Float[Tensor, "n d"],
    member: Int[Tensor, " n"],
    labeled: int,
    picks: int,
    neighbors: int = 20,
    *,
    smallest: int = 5,
) -> Int[Tensor, " k"]:
    """Rows picked one by one: the most typical of the cluster that has the fewest labeled or picked, then of the largest.

    Clusters of fewer points than `smallest` come after all others. All rows that are not labeled where they are fewer
    than the picks. The first `labeled` rows are labeled.
    """
    sizes = member.bincount()
    ends, order = sizes.cumsum(0).tolist(), member.argsort(stable=True)
    known = member[:labeled].bincount(minlength=len(sizes)).tolist()
    queue = [(size < smallest, known[each], -size, each) for each, size in enumerate(sizes.tolist()) if size]
    heapq.heapify(queue)
    waiting: dict[int, list[int]] = {}  # of each cluster, the most typical last
    chosen: list[int] = []
    while queue and len(chosen) < picks:
        small, count, size, cluster = heapq.heappop(queue)
        if cluster not in waiting:
            rows = order[ends[cluster] + size : ends[cluster]]
            best = rows[typicality(points[rows], neighbors).argsort(descending=True, stable=True)]
            waiting[cluster] = best[best >= labeled][:picks].flip(0).tolist()
        if waiting[cluster]:
            chosen.append(waiting[cluster].pop())
            heapq.heappush(queue, (small, count + 1, size, cluster))
    return torch.tensor(chosen, dtype=torch.long, device=points.device)


def typicality(points: Float[Tensor, "n d"], neighbors: int) -> Float[Tensor, " n"]:
    """One over the mean distance to the nearest other points of the cluster, so many at most.

    Infinite where they are equal, 0 for a point alone.
    """
    step = -(-len(points) // SOUGHT)
    others, squares = points[::step], points.square().sum(1)
    places = torch.arange(0, len(points), step, device=points.device)
    nearest = min(neighbors, len(others) - 1)
    if nearest == 0:
        return torch.zeros_like(squares)
    parts = []
    for rows in torch.arange(len(points), device=points.device).split(CHUNK):
        far = torch.addmm(squares[places], points[rows], others.T, alpha=-2).add_(squares[rows].unsqueeze(1))
        far[rows.unsqueeze(1) == places] = torch.inf
        parts.append(far.topk(nearest, 1, largest=False).values.clamp_(min=0).sqrt_().mean(1))
    return torch.cat(parts).reciprocal()
