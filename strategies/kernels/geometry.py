"""Distances in products of matrices, and greedy k-center. Pure functions, on the device of their inputs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from tasks.memory import gathered, parts, release

BLOCK = 1024
"""Centers per matrix product."""
CHUNK = 2048
"""Points per matrix product: at most CHUNK x BLOCK distances are in memory at once."""
MEAN_ROWS = 2**18
"""Points whose mean is taken at once."""
CONTENDERS = 2048
"""Points whose distances `farthest_first_traversal` keeps up to date between two passes over all points."""


class Space(NamedTuple):
    """n points with distances of the form d(i, j) = offsets[i] + offsets[j] - factor * <left[i], right[j]>.

    The squared Euclidean distance has this form (left = right = points, factor 2), and so has the symmetric
    Kullback-Leibler divergence. Many distances are then one product of matrices. The points may lie in a file: they are read
    in order, CHUNK at a time, and never copied.
    """

    left: Float[Tensor, "n d"]
    right: Float[Tensor, "n d"]
    offsets: Float[Tensor, " n"]
    factor: float
    origin: Float[Tensor, " d"] | None = None
    """Subtracted from `left` and `right` wherever they are read."""

    @classmethod
    def euclidean(cls, points: Float[Tensor, "n d"], origin: Float[Tensor, " d"] | None = None) -> Space:
        """The points with squared Euclidean distances. Large squares cancel less if the origin lies among the points."""
        return cls(points, points, squared_norms(points, origin), 2.0, origin)

    def subset(self, index: Tensor | slice) -> Space:
        """Some of the points, in the order of the index."""
        left = moved(_taken(self.left, index), self.origin)
        right = left if self.left is self.right else moved(_taken(self.right, index), self.origin)
        return Space(left, right, self.offsets[index], self.factor)

    def distances_to_nearest(self, others: Space) -> Float[Tensor, " n"]:
        """The distance of each point to the nearest of the others, at least 0; infinite if there are no others."""
        nearest = torch.full_like(self.offsets, torch.inf)
        for start in range(0, len(nearest), CHUNK):
            chunk = slice(start, start + CHUNK)
            points = moved(self.left[chunk], self.origin)
            for first in range(0, len(others.offsets), BLOCK):
                block = others.subset(slice(first, first + BLOCK))
                distances = torch.addmm(block.offsets, points, block.right.T, alpha=-self.factor)
                nearest[chunk] = torch.minimum(nearest[chunk], distances.amin(1) + self.offsets[chunk])
            release(self.left[chunk])
        return nearest.clamp_(min=0)


def squared_norms(points: Float[Tensor, "n d"], origin: Float[Tensor, " d"] | None = None) -> Float[Tensor, " n"]:
    """The squared Euclidean norm of each point less the origin, without a second (n, d) matrix: 2 GB for a million points."""
    chunks = (moved(chunk, origin) for chunk in parts(points, CHUNK))
    return torch.cat([torch.einsum("nd,nd->n", chunk, chunk) for chunk in chunks])


def moved(points: Float[Tensor, "n d"], origin: Float[Tensor, " d"] | None) -> Float[Tensor, "n d"]:
    """The points less an origin."""
    return points if origin is None else points - origin


def _taken(points: Float[Tensor, "n d"], index: Tensor | slice) -> Float[Tensor, "m d"]:
    return gathered(points, index) if isinstance(index, Tensor) else points[index]


def centered_rows(points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The same points less their mean, scaled to length 1 in place; a point at the mean becomes 0."""
    sizes_and_means = [(len(part), part.mean(0)) for part in parts(points, MEAN_ROWS)]
    mean = torch.stack([size / max(len(points), 1) * part for size, part in sizes_and_means]).sum(0)
    for part in parts(points):
        functional.normalize(part.sub_(mean), out=part)
    return points


def greedy_k_center(
    points: Float[Tensor, "n d"], centers: Float[Tensor, "c d"], picks: int
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Pick points one by one, always the one farthest from all centers and earlier picks (Euclidean distance).

    Costs at most (c + k) n d multiplications, in products of matrices, and reads all points once for many picks.

    Returns:
        The indices of the picks, at most n, and the distance of each to its nearest center or earlier pick. Of equally
        far points the first is picked; without centers the first pick is point 0, at an infinite distance.
    """
    if len(points) == 0:
        return torch.zeros(0, dtype=torch.long, device=points.device), points.new_zeros(0)
    median = points[:BLOCK].median(0).values
    space = Space.euclidean(points, median)
    nearest = space.distances_to_nearest(Space.euclidean(centers, median)) if len(centers) else None
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
        if len(chosen) < count:
            bounds = torch.minimum(bounds, space.distances_to_nearest(space.subset(torch.stack(new))))
            bounds[torch.stack(chosen)] = -1
    if not chosen:
        return torch.zeros(0, dtype=torch.long, device=bounds.device), bounds.new_zeros(0)
    return torch.stack(chosen), torch.stack(distances)
