"""TypiClust: typical images of clusters that have few labels."""

from __future__ import annotations

import heapq
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, unit_embeddings
from strategies.kernels.clustering import k_means
from strategies.kernels.rows import descending
from tasks.settings import MOST_IMAGES, Whole

CHUNK = 1024
"""Points per matrix product in the search for neighbors."""
NEIGHBOR_POINTS = 10_000
"""Maximum number of points of a cluster among which neighbors are searched, in even steps; for a million points in few clusters, a
search among all would take days."""


class TypiClust(Strategy):
    """Picks the most typical image of the cluster with the fewest labels and picks (Hacohen et al. 2022, algorithm 1).

    Differs from the paper in that images are embedded by the task's model, not by a self-supervised one.
    Differs from the paper in that k-means never uses mini-batches.
    Differs from the paper in that in a cluster of more than 10,000 points neighbors are searched among every second, third, ... of
    them, at most 10,000.

    Differs from the authors' code in three ways, in which it follows the paper. Neighbors are 20, or all others of a
    smaller cluster; there they are at most half of the cluster, and labeled and picked images are not among them. Small
    clusters are picked from after all others; there clusters of 5 or fewer are left out. Each pick is from the cluster
    that has the fewest labels and picks by then; there, with more picks than clusters, the order of the clusters at the
    start is repeated.
    Differs from the authors' code in that k-means makes one start of at most 20 iterations, with first centers among at most
    16,384 images.
    """

    name: ClassVar[str] = "typiclust"
    paper: ClassVar[str] = "Hacohen et al. 2022"
    kind: ClassVar[Kind] = "diversity"
    reads: ClassVar[str] = "embeddings"
    cost: ClassVar[str] = "N D (clusters + N / clusters), min(L + K, 500) clusters"
    cold_start: ClassVar[bool] = True

    most_clusters: Whole = Field(default=500, ge=1, le=MOST_IMAGES)
    """Maximum number of clusters; else there are as many as labeled images and picks together (the authors' code)."""
    neighbors: Whole = Field(default=20, ge=1, le=MOST_IMAGES)
    """Number of nearest neighbors over which typicality is computed (the paper)."""
    smallest_cluster: Whole = Field(default=5, ge=1, le=MOST_IMAGES)
    """Smaller clusters are picked from after all others (the authors' code leaves out those of 5 or fewer)."""

    def select(self, ctx: Context) -> Selection:
        """Pick one by one from the cluster with the fewest labels and picks; from the largest if several are equal."""
        points = unit_embeddings(ctx, np.concatenate([ctx.labeled, ctx.candidates]))
        with ctx.learner.clock.phase("pick"):
            clusters = min(len(ctx.labeled) + ctx.budget, self.most_clusters)
            assignment = k_means(points, clusters, ctx.rng).assignment
            rows = typical_picks(
                points,
                assignment,
                len(ctx.labeled),
                ctx.budget,
                ctx.rng,
                neighbors=self.neighbors,
                smallest=self.smallest_cluster,
            )
            return ctx.pick(rows - len(ctx.labeled))


def typical_picks(
    points: Float[Tensor, "n d"],
    assignment: Int[Tensor, " n"],
    labeled: int,
    picks: int,
    rng: np.random.Generator,
    *,
    neighbors: int = 20,
    smallest: int = 5,
) -> Int[Tensor, " k"]:
    """Pick points one by one, always the most typical one of the cluster with the fewest labeled or picked points.

    Of several such clusters the largest comes first; of equally typical points, as the two of a pair are, one at random.

    Args:
        points: the labeled points, then the candidates.
        assignment: the cluster of each point.
        labeled: number of labeled points, which are never picked.
        picks: how many points to pick; all candidates if there are fewer.
        rng: decides between equally typical points.
        neighbors: number of nearest neighbors over which typicality is computed.
        smallest: clusters of fewer points come after all others.

    Returns:
        The indices of the picks into the points.
    """
    sizes = assignment.bincount()
    ends, order = sizes.cumsum(0).tolist(), assignment.argsort(stable=True)
    labeled_counts = assignment[:labeled].bincount(minlength=len(sizes)).tolist()
    queue = [
        (size < smallest, labeled_counts[cluster], -size, cluster)
        for cluster, size in enumerate(sizes.tolist())
        if size
    ]
    heapq.heapify(queue)
    candidates: dict[int, list[int]] = {}  # of each cluster, in increasing typicality
    chosen: list[int] = []
    while queue and len(chosen) < picks:
        small, count, negative_size, cluster = heapq.heappop(queue)
        if cluster not in candidates:
            rows = order[ends[cluster] + negative_size : ends[cluster]]
            rows = rows[descending(typicality(points[rows], neighbors), rng)]
            candidates[cluster] = rows[rows >= labeled][:picks].flip(0).tolist()
        if candidates[cluster]:
            chosen.append(candidates[cluster].pop())
            heapq.heappush(queue, (small, count + 1, negative_size, cluster))
    return torch.tensor(chosen, dtype=torch.long, device=points.device)


def typicality(points: Float[Tensor, "n d"], neighbors: int) -> Float[Tensor, " n"]:
    """One over the mean distance of each point of a cluster to its nearest neighbors in the cluster.

    Infinite if these distances are 0; 0 for a single point.

    Args:
        points: of one cluster.
        neighbors: number of nearest neighbors; all other points if there are fewer.
    """
    step = -(-len(points) // NEIGHBOR_POINTS)
    others, squares = points[::step], points.square().sum(1)
    other_rows = torch.arange(0, len(points), step, device=points.device)
    nearest = min(neighbors, len(others) - 1)
    if nearest == 0:
        return torch.zeros_like(squares)
    parts = []
    for rows in torch.arange(len(points), device=points.device).split(CHUNK):
        distances = torch.addmm(squares[other_rows], points[rows], others.T, alpha=-2).add_(squares[rows].unsqueeze(1))
        distances[rows.unsqueeze(1) == other_rows] = torch.inf
        parts.append(distances.topk(nearest, 1, largest=False).values.clamp_(min=0).sqrt_().mean(1))
    return torch.cat(parts).reciprocal()
