"""Picking by distances between vectors. Pure functions, on the device of their inputs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK = 1024
"""Centers compared at once: bounds the memory of a pass to points x BLOCK numbers, in chunks of points."""
CHUNK = 2048
"""Points compared at once."""
CONTENDERS = 2048
"""Points that `farthest_first` keeps exact between two looks at all others."""
SEEDING_POINTS = 16384
"""k-means draws its first centers from at most so many points."""


class Space(NamedTuple):
    """Points between which d(i, j) = offsets[i] + offsets[j] - factor * <left[i], right[j]>.

    Squared Euclidean distance is one (left = right = points, factor 2); so is the symmetric Kullback-Leibler divergence.
    """

    left: Float[Tensor, "n d"]
    right: Float[Tensor, "n d"]
    offsets: Float[Tensor, " n"]
    factor: float

    @classmethod
    def euclidean(cls, points: Float[Tensor, "n d"]) -> Space:
        """Squared Euclidean distances."""
        return cls(points, points, squared_lengths(points), 2.0)

    def rows(self, index: Tensor | slice) -> Space:
        """Some of the points."""
        return Space(self.left[index], self.right[index], self.offsets[index], self.factor)

    def nearest(self, others: Space) -> Float[Tensor, " n"]:
        """Distance of each point to the nearest of the others, at least 0; infinite where there are none."""
        found = torch.full_like(self.offsets, torch.inf)
        for start in range(0, len(found), CHUNK):
            part = slice(start, start + CHUNK)
            for first in range(0, len(others.offsets), BLOCK):
                block = others.rows(slice(first, first + BLOCK))
                far = torch.addmm(block.offsets, self.left[part], block.right.T, alpha=-self.factor)
                found[part] = torch.minimum(found[part], far.amin(1) + self.offsets[part])
        return found.clamp_(min=0)


def squared_lengths(points: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """<x, x> of each point, without a second matrix: of a million points it would take 2 GB."""
    return torch.einsum("nd,nd->n", points, points)


def greedy_k_center(
    points: Float[Tensor, "n d"], centers: Float[Tensor, "c d"], picks: int
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Points picked one by one, each the farthest from all centers and earlier picks, and its distance to them.

    Of equally far points the first is picked; without centers the first pick is point 0, at an infinite distance.
    Costs at most (c + k) n d multiplications, as products of matrices, and one copy of the points.
    """
    if len(points) == 0:
        return torch.zeros(0, dtype=torch.long, device=points.device), points.new_zeros(0)
    middle = points[:BLOCK].median(0).values  # distances stay, and large squares no longer cancel
    space = Space.euclidean(points - middle)
    nearest = space.nearest(Space.euclidean(centers - middle)) if len(centers) else None
    rows, squares = farthest_first(space, nearest, picks)
    return rows, squares.sqrt()


def farthest_first(
    space: Space, nearest: Float[Tensor, " n"] | None, picks: int
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Greedy cover: each pick is the farthest from what is covered, and covers from then on; with its distance then.

    The greedy solution itself, not an approximation. Distances to what is covered only shrink, so an outdated one is an
    upper bound: as long as one of a few contenders is farther than every bound outside, nobody else need be looked at.
    All others then catch up on many picks in one product of matrices.

    Args:
        space: the points and their distances.
        nearest: distance of each point to what is covered at the start; None where nothing is.
        picks: how many are wanted; all points where there are fewer.
    """
    count = min(picks, len(space.offsets))
    bounds = torch.full_like(space.offsets, torch.inf) if nearest is None else nearest.clone()
    chosen: list[Tensor] = []
    distances: list[Tensor] = []
    while len(chosen) < count:
        best = bounds.topk(min(CONTENDERS, len(bounds)))
        outside = best.values[-1] if len(best.values) < len(bounds) else -torch.inf
        rows = torch.cat([bounds.argmax()[None], best.indices.sort().values])  # of equally far points, the first
        contenders, near, place, new = space.rows(rows), bounds[rows], 0, []
        while not new or (len(chosen) + len(new) < count and near[place] > outside):
            new.append(rows[place])
            distances.append(near[place].clone())
            pick = contenders.rows(slice(place, place + 1))
            far = contenders.offsets + pick.offsets - space.factor * (contenders.left @ pick.right[0])
            near = torch.minimum(near, far.clamp_(min=0))
            near[rows == rows[place]] = -1  # never twice, even where all points are equal
            place = int(near.argmax())
        chosen += new
        bounds = torch.minimum(bounds, space.nearest(space.rows(torch.stack(new))))
        bounds[torch.stack(chosen)] = -1
    if not chosen:
        return torch.zeros(0, dtype=torch.long, device=bounds.device), bounds.new_zeros(0)
    return torch.stack(chosen), torch.stack(distances)


def squared_distance_sampling(
    left: Float[Tensor, "n a"],
    right: Float[Tensor, "n b"],
    picks: int,
    rng: np.random.Generator,
    weights: Float[Tensor, " n"] | None = None,
) -> Int[Tensor, " k"]:
    """The seeding of k-means++ (Arthur & Vassilvitskii 2007) on the vectors left[i] (x) right[i], never formed.

    The first is drawn evenly, each next with a probability proportional to its squared distance to the nearest pick;
    where all distances are 0, evenly among what is left. One uniform number a pick, inverted over the cumulative sum, so
    that another implementation can repeat the draws. Costs k n (a + b) multiplications.

    Args:
        left: one factor of each vector.
        right: the other.
        picks: how many are wanted; all where there are fewer.
        rng: gives the uniform numbers.
        weights: as if a vector stood there so often: a factor of its probability. Positive.
    """
    often = torch.ones_like(left[:, 0]).double() if weights is None else weights.double()
    norms = squared_lengths(left).double() * squared_lengths(right)
    nearest = torch.ones_like(norms)
    draws = rng.random(min(picks, len(norms))).tolist()
    chosen = torch.zeros(len(draws), dtype=torch.long, device=norms.device)  # in one piece: a list splits the heap
    for number, draw in enumerate(draws):
        sums = (often * nearest).cumsum(0)
        if not sums[-1] > 0:
            sums = often.index_fill(0, chosen[:number], 0).cumsum(0)
        last = torch.searchsorted(sums, sums[-1:])  # of those with a chance
        pick = torch.minimum(torch.searchsorted(sums, sums[-1:] * draw, right=True), last)[0]
        chosen[number] = pick
        inner = (left @ left[pick]).double() * (right @ right[pick])
        squares = (norms + norms[pick] - 2 * inner).clamp_(min=0)
        nearest = squares if number == 0 else torch.minimum(nearest, squares)
        nearest[chosen[: number + 1]] = 0
    return chosen


class Clusters(NamedTuple):
    """k clusters of n points."""

    centers: Float[Tensor, "k d"]
    member: Int[Tensor, " n"]
    """The cluster of each point."""
    squares: Float[Tensor, " n"]
    """Squared distance of each point to its center."""


def k_means(
    points: Float[Tensor, "n d"],
    clusters: int,
    rng: np.random.Generator,
    *,
    iterations: int = 20,
    weights: Float[Tensor, " n"] | None = None,
) -> Clusters:
    """Lloyd's k-means from k-means++ seeds, drawn from at most 16,384 of the points.

    Ends early when no point changes its cluster. At most as many clusters as points; where points are equal some
    clusters stay empty. Our own because scikit-learn's wants the points in the host's memory.

    Args:
        points: what is clustered.
        clusters: how many are wanted.
        rng: draws the seeds.
        iterations: at most.
        weights: as if a point stood there so often. Positive.
    """
    often = torch.ones_like(points[:, 0]) if weights is None else weights
    sample = torch.from_numpy(np.sort(rng.permutation(len(points))[:SEEDING_POINTS])).to(points.device)
    seeds = points[sample]
    centers = seeds[squared_distance_sampling(torch.ones_like(seeds[:, :1]), seeds, clusters, rng, often[sample])]
    found = _assigned(points, centers)
    for _ in range(iterations):
        before, found = found, _assigned(points, _means(points, often, found))
        if torch.equal(before.member, found.member):
            break
    return found


def _means(points: Float[Tensor, "n d"], often: Float[Tensor, " n"], found: Clusters) -> Float[Tensor, "k d"]:
    """The weighted mean of each cluster; of an empty one, the center that it had."""
    sums = torch.zeros_like(found.centers)
    for part, member, weight in zip(points.split(CHUNK), found.member.split(CHUNK), often.split(CHUNK), strict=True):
        sums.index_add_(0, member, part * weight.unsqueeze(1))
    counts = torch.zeros_like(sums[:, 0]).index_add_(0, found.member, often).unsqueeze(1)
    return torch.where(counts > 0, sums / counts, found.centers)


def _assigned(points: Float[Tensor, "n d"], centers: Float[Tensor, "k d"]) -> Clusters:
    lengths = squared_lengths(centers)
    parts = [torch.addmm(lengths, part, centers.T, alpha=-2).min(1) for part in points.split(CHUNK)]
    squares = torch.cat([each.values for each in parts]) + squared_lengths(points)
    return Clusters(centers, torch.cat([each.indices for each in parts]), squares.clamp_(min=0))


def nearest_to_centers(found: Clusters) -> Int[Tensor, " k"]:
    """Of each cluster that has a point, the point nearest to its center."""
    nearest_first = found.squares.sort(stable=True).indices
    clusters, order = found.member[nearest_first].sort(stable=True)
    first = torch.ones_like(clusters, dtype=torch.bool)
    first[1:] = clusters[1:] != clusters[:-1]
    return nearest_first[order[first]]
