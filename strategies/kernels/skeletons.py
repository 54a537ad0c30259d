"""Places that maps point at, trees over them, and the likelihood of their distances. Pure functions."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional


class Places(NamedTuple):
    """The p likeliest places of each of m rows."""

    positions: Float[Tensor, "n m p 2"]
    """y and x, in sides of the map."""
    probs: Float[Tensor, "n m p"]
    """Add up to 1 over the places of a row; 0 where it has fewer."""


def local_maxima(probs: Float[Tensor, "n m k"], grid: tuple[int, int], most: int, radius: int) -> Places:
    """The highest cells of each map that no cell within a square around them exceeds.

    Args:
        probs: of k = height x width cells, row by row.
        grid: height and width of the maps.
        most: maximum number of places of a map.
        radius: of the square, in cells.
    """
    maps = probs.unflatten(2, grid)
    highest = functional.max_pool2d(maps, 2 * radius + 1, 1, radius)
    heights = torch.where(maps == highest, maps, 0.0).flatten(2)
    top, cells = heights.topk(min(most, heights.shape[2]), 2)
    positions = torch.stack([cells // grid[1], cells % grid[1]], 3)
    return Places((positions + 0.5) / max(grid), top / top.sum(2, keepdim=True))


def spanning_tree(costs: Float[Tensor, "m m"]) -> Int[Tensor, "e 2"]:
    """The tree over all rows whose edges have the smallest sum of costs, from row 0 on (Prim 1957); of equal ones the first."""
    joined, edges = [0], []
    while len(joined) < len(costs):
        outside = [row for row in range(len(costs)) if row not in joined]
        number = int(costs[joined][:, outside].argmin())
        edges.append((joined[number // len(outside)], outside[number % len(outside)]))
        joined.append(edges[-1][1])
    return torch.tensor(edges, dtype=torch.long, device=costs.device).reshape(-1, 2)


def distance_variances(
    positions: Float[Tensor, "n m 2"], shown: Bool[Tensor, "n m"], least: float
) -> Float[Tensor, "m m"]:
    """The variance over images of the distance of each pair of rows, at least `least`; infinite if no image shows both."""
    distances = torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")
    both = (shown.unsqueeze(1) & shown.unsqueeze(2)).to(distances)
    counts = both.sum(0)
    means = (both * distances).sum(0) / counts.clamp(min=1)
    variances = (both * (distances - means).square()).sum(0) / counts.clamp(min=1)
    return torch.where(counts > 0, variances.clamp(min=least), torch.inf)


def negative_log_likelihood(
    distances: Float[Tensor, ...], means: Float[Tensor, ...], log_variances: Float[Tensor, ...]
) -> Float[Tensor, ...]:
    """-ln of the normal density at distances, in nats."""
    return ((distances - means).square() * (-log_variances).exp() + log_variances + math.log(2 * math.pi)) / 2


def edge_distances(positions: Float[Tensor, "n m p 2"], edges: Int[Tensor, "e 2"]) -> Float[Tensor, "n e p p"]:
    """The distance of each place of an edge's one row from each of its other row."""
    one, other = positions[:, edges[:, 0]], positions[:, edges[:, 1]]
    return (one.unsqueeze(3) - other.unsqueeze(2)).square().sum(4).sqrt()


def expected_negative_log_likelihood(
    places: Places, edges: Int[Tensor, "e 2"], means: Float[Tensor, "n e"], log_variances: Float[Tensor, "n e"]
) -> Float[Tensor, "n e"]:
    """The mean of `negative_log_likelihood` over the places of an edge's two rows, by their probabilities."""
    both = places.probs[:, edges[:, 0]].unsqueeze(3) * places.probs[:, edges[:, 1]].unsqueeze(2)
    each = negative_log_likelihood(
        edge_distances(places.positions, edges), means[..., None, None], log_variances[..., None, None]
    )
    return (both * each).sum((2, 3))
