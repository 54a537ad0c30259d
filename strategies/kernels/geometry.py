"""Greedy k-center, k-means++ seeding and k-means. Pure functions, on the device of their inputs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK = 1024
"""Centers per matrix product."""
CHUNK = 2048
"""Points per matrix product: at most CHUNK x BLOCK distances are in memory at once."""
CONTENDERS = 2048
"""Points whose distances `farthest_first_traversal` keeps up to date between two passes over all points."""
SEEDING_POINTS = 16384
"""k-means draws its initial centers from at most this many points."""


class Space(NamedTuple):
    """n points with distances of the form d(i, j) = offsets[i] + offsets[j] - factor * <left[i], right[j]>.

    The squared Euclidean distance has this form (left = right = points, factor 2), and so has the symmetric
    Kullback-Leibler divergence. Many distances are then one product of matrices.
    """

    left: Float[Tensor, "n d"]
    right: Float[Tensor, "n d"]
    offsets: Float[Tensor, " n"]
    factor: float

    @classmethod
    def euclidean(cls, points: Float[Tensor, "n d"]) -> Space:
        """The points with squared Euclidean distances."""
        return cls(points, points, squared_norms(points), 2.0)

    def subset(self, index: Tensor | slice) -> Space:
        """Some of the points, in the order of the index."""
        return Space(self.left[index], self.right[index], self.offsets[index], self.factor)

    def distances_to_nearest(self, others: Space) -> Float[Tensor, " n"]:
        """The distance of each point to the nearest of the others, at least 0; infinite if there are no others."""
        nearest = torch.full_like(self.offsets, torch.inf)
        for start in range(0, len(nearest), CHUNK):
            chunk = slice(start, start + CHUNK)
            for first in range(0, len(others.offsets), BLOCK):
                block = others.subset(slice(first, first + BLOCK))
                distances = torch.addmm(block.offsets, self.left[chunk], block.right.T, alpha=-self.factor)
                nearest[chunk] = torch.minimum(nearest[chunk], distances.amin(1) + self.offsets[chunk])
        return nearest.clamp_(min=0)


def squared_norms(points: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The squared Euclidean norm of each point, without a second (n, d) matrix: 2 GB for a million points."""
    return torch.einsum("nd,nd->n", points, points)


def greedy_k_center(
    points: Float[Tensor, "n d"], centers: Float[Tensor, "c d"], picks: int
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Pick points one by one, always the one farthest from all centers and earlier picks (Euclidean distance).

    Costs at most (c + k) n d multiplications, in products of matrices, and one copy of the points.

    Returns:
        The indices of the picks, at most n, and the distance of each to its nearest center or earlier pick. Of equally
        far points the first is picked; without centers the first pick is point 0, at an infinite distance.
    """
    if len(points) == 0:
        return torch.zeros(0, dtype=torch.long, device=points.device), points.new_zeros(0)
    median = points[:BLOCK].median(0).values  # subtracting it keeps distances, and large squares no longer cancel
    space = Space.euclidean(points - median)
    nearest = space.distances_to_nearest(Space.euclidean(centers - median)) if len(centers) else None
    rows, squared_distances = farthest_first_traversal(space, nearest, picks)
    return rows, squared_distances.sqrt()


def farthest_first_traversal(
    space: Space, nearest: Float[Tensor, " n"] | None, picks: int
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Pick points one by one, always the one farthest from the initial centers and all earlier picks.

    The result is exact. Distances to the nearest center only decrease, so an outdated distance is an upper bound. As
    long as one of a few contenders is farther than the bounds of all other points, the others need not be updated;
    afterwards they are updated for many picks in one product of matrices.

    Args:
        space: the points and their distances.
        nearest: distance of each point to the nearest initial center; None if there are no centers.
        picks: how many points to pick; all points if there are fewer.

    Returns:
        The indices of the picks, and the distance of each to the nearest center or earlier pick.
    """
    count = min(picks, len(space.offsets))
    bounds = torch.full_like(space.offsets, torch.inf) if nearest is None else nearest.clone()
    chosen: list[Tensor] = []
    distances: list[Tensor] = []
    while len(chosen) < count:
        top = bounds.topk(min(CONTENDERS, len(bounds)))
        outside_bound = top.values[-1] if len(top.values) < len(bounds) else -torch.inf
        rows = torch.cat([bounds.argmax()[None], top.indices.sort().values])  # of equally far points, the first
        contenders, contender_distances, best, new = space.subset(rows), bounds[rows], 0, []
        while not new or (len(chosen) + len(new) < count and contender_distances[best] > outside_bound):
            new.append(rows[best])
            distances.append(contender_distances[best].clone())
            pick = contenders.subset(slice(best, best + 1))
            to_pick = contenders.offsets + pick.offsets - space.factor * (contenders.left @ pick.right[0])
            contender_distances = torch.minimum(contender_distances, to_pick.clamp_(min=0))
            contender_distances[rows == rows[best]] = -1  # never picked twice, even if all points are equal
            best = int(contender_distances.argmax())
        chosen += new
        bounds = torch.minimum(bounds, space.distances_to_nearest(space.subset(torch.stack(new))))
        bounds[torch.stack(chosen)] = -1
    if not chosen:
        return torch.zeros(0, dtype=torch.long, device=bounds.device), bounds.new_zeros(0)
    return torch.stack(chosen), torch.stack(distances)


def k_means_plus_plus(
    left: Float[Tensor, "n a"],
    right: Float[Tensor, "n b"],
    picks: int,
    rng: np.random.Generator,
    weights: Float[Tensor, " n"] | None = None,
) -> Int[Tensor, " k"]:
    """k-means++ seeding (Arthur & Vassilvitskii 2007) on outer products left[i] (x) right[i], which are never formed.

    The first vector is drawn uniformly, every further one with a probability proportional to its squared distance to
    the nearest pick; if all distances are 0, uniformly among the remaining ones. Each pick takes one uniform number,
    inverted over the cumulative sum, so that another implementation can repeat the draws. Costs k n (a + b)
    multiplications.

    Args:
        left: first factor of each vector; a column of ones to sample the rows of `right` themselves.
        right: second factor of each vector.
        picks: how many vectors to pick; all if there are fewer.
        rng: gives the uniform numbers.
        weights: positive factors of the probabilities; a weight of 2 counts a vector twice.

    Returns:
        The indices of the picks, in the order of drawing.
    """
    sample_weights = torch.ones_like(left[:, 0]).double() if weights is None else weights.double()
    norms = squared_norms(left).double() * squared_norms(right)
    nearest = torch.ones_like(norms)
    draws = rng.random(min(picks, len(norms))).tolist()
    chosen = torch.zeros(len(draws), dtype=torch.long, device=norms.device)  # one tensor: a list fragments the heap
    for number, draw in enumerate(draws):
        cumulative = (sample_weights * nearest).cumsum(0)
        if not cumulative[-1] > 0:
            cumulative = sample_weights.index_fill(0, chosen[:number], 0).cumsum(0)
        last = torch.searchsorted(cumulative, cumulative[-1:])  # the last index of positive probability
        pick = torch.minimum(torch.searchsorted(cumulative, cumulative[-1:] * draw, right=True), last)[0]
        chosen[number] = pick
        inner_products = (left @ left[pick]).double() * (right @ right[pick])
        squared_distances = (norms + norms[pick] - 2 * inner_products).clamp_(min=0)
        nearest = squared_distances if number == 0 else torch.minimum(nearest, squared_distances)
        nearest[chosen[: number + 1]] = 0
    return chosen


class Clusters(NamedTuple):
    """k clusters of n points."""

    centers: Float[Tensor, "k d"]
    assignment: Int[Tensor, " n"]
    """The cluster of each point."""
    squared_distances: Float[Tensor, " n"]
    """Of each point to its center."""


def k_means(
    points: Float[Tensor, "n d"],
    clusters: int,
    rng: np.random.Generator,
    *,
    iterations: int = 20,
    weights: Float[Tensor, " n"] | None = None,
) -> Clusters:
    """Lloyd's k-means with k-means++ seeding on at most 16,384 of the points.

    Stops early when no point changes its cluster. Gives at most as many clusters as points; clusters may be empty if
    points are equal. An implementation of our own because scikit-learn's needs the points in the host's memory.

    Args:
        points: to be clustered.
        clusters: number of clusters.
        rng: draws the initial centers.
        iterations: maximum number of iterations.
        weights: positive sample weights; a weight of 2 counts a point twice.
    """
    sample_weights = torch.ones_like(points[:, 0]) if weights is None else weights
    sample = torch.from_numpy(np.sort(rng.permutation(len(points))[:SEEDING_POINTS])).to(points.device)
    seeding_points = points[sample]
    seeds = k_means_plus_plus(
        torch.ones_like(seeding_points[:, :1]), seeding_points, clusters, rng, sample_weights[sample]
    )
    current = _assign(points, seeding_points[seeds])
    for _ in range(iterations):
        previous, current = current, _assign(points, _weighted_means(points, sample_weights, current))
        if torch.equal(previous.assignment, current.assignment):
            break
    return current


def _weighted_means(
    points: Float[Tensor, "n d"], sample_weights: Float[Tensor, " n"], clusters: Clusters
) -> Float[Tensor, "k d"]:
    """The weighted mean of each cluster; an empty cluster keeps its center."""
    sums = torch.zeros_like(clusters.centers)
    chunks = zip(points.split(CHUNK), clusters.assignment.split(CHUNK), sample_weights.split(CHUNK), strict=True)
    for chunk, assignment, weights in chunks:
        sums.index_add_(0, assignment, chunk * weights.unsqueeze(1))
    totals = torch.zeros_like(sums[:, 0]).index_add_(0, clusters.assignment, sample_weights).unsqueeze(1)
    return torch.where(totals > 0, sums / totals, clusters.centers)


def _assign(points: Float[Tensor, "n d"], centers: Float[Tensor, "k d"]) -> Clusters:
    """Every point assigned to its nearest center."""
    norms = squared_norms(centers)
    nearest = [torch.addmm(norms, chunk, centers.T, alpha=-2).min(1) for chunk in points.split(CHUNK)]
    squared_distances = torch.cat([chunk.values for chunk in nearest]) + squared_norms(points)
    return Clusters(centers, torch.cat([chunk.indices for chunk in nearest]), squared_distances.clamp_(min=0))


def nearest_to_centers(clusters: Clusters) -> Int[Tensor, " k"]:
    """For each cluster that is not empty, the index of the point nearest to its center."""
    nearest_first = clusters.squared_distances.sort(stable=True).indices
    sorted_clusters, order = clusters.assignment[nearest_first].sort(stable=True)
    first = torch.ones_like(sorted_clusters, dtype=torch.bool)
    first[1:] = sorted_clusters[1:] != sorted_clusters[:-1]
    return nearest_first[order[first]]
