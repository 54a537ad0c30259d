"""k-means++ seeding and k-means. Pure functions, on the device of their inputs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from strategies.kernels.draws import OuterProducts, drawn_one_by_one, drawn_with_rejections
from strategies.kernels.geometry import CHUNK, squared_norms
from tasks.memory import gathered, parts

MOST_PRODUCTS = 2**38
"""Multiplications: k-means++ with more draws by rejection, and k-means whose iterations take more learns from a sample. Two
cores take two minutes for as many; no shipped protocol takes half of them."""
SEEDING_POINTS = 16384
"""k-means draws its initial centers from at most this many points, or twice as many as there are centers."""
LEAST_POINTS = 39
"""Points per cluster in the sample from which k-means learns (faiss, `ClusteringParameters.min_points_per_centroid`)."""


def k_means_plus_plus(
    left: Float[Tensor, "n a"],
    right: Float[Tensor, "n b"],
    picks: int,
    rng: np.random.Generator,
    weights: Float[Tensor, " n"] | None = None,
) -> Int[Tensor, " k"]:
    """k-means++ seeding (Arthur & Vassilvitskii 2007) on outer products left[i] (x) right[i], which are never formed.

    The first vector is drawn uniformly, every further one with a probability proportional to its squared distance to
    the nearest pick; if all distances are 0, uniformly among the remaining ones.

    Up to 2^38 multiplications, k n (a + b), each pick takes one uniform number, inverted over the cumulative sum. With more
    the picks are drawn by rejection: others than those, but with the same probabilities, and many from one pass over the
    vectors (`strategies.kernels.draws`).

    Args:
        left: first factor of each vector; a column of ones to sample the rows of `right` themselves.
        right: second factor of each vector.
        picks: how many vectors to pick; all if there are fewer.
        rng: gives the uniform numbers.
        weights: positive factors of the probabilities; a weight of 2 counts a vector twice.

    Returns:
        The indices of the picks, in the order of drawing.
    """
    vectors, count = OuterProducts.of(left, right), min(picks, len(right))
    sample_weights = torch.ones_like(vectors.norms) if weights is None else weights.double()
    products = len(right) * count * (left.shape[1] + right.shape[1])
    draw = drawn_one_by_one if products <= MOST_PRODUCTS else drawn_with_rejections
    return draw(vectors, count, rng, sample_weights)


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
    points are equal. An implementation of our own because scikit-learn's needs the points in the host's memory. Its
    defaults, which several authors use, are up to 300 iterations, and ten starts in older versions; here it is one start.

    Where an iteration over all n points takes more than 2^38 multiplications, n k d, the centers are learned from a random
    sample of as many points as take no more, but at least 39 a cluster, and then all points are assigned to them.

    Args:
        points: to be clustered.
        clusters: number of clusters.
        rng: draws the initial centers.
        iterations: maximum number of iterations.
        weights: positive sample weights; a weight of 2 counts a point twice.
    """
    sample_weights = torch.ones_like(points[:, 0]) if weights is None else weights
    order = rng.permutation(len(points))
    seeding_points, seeding_weights = _some(points, sample_weights, order[: max(SEEDING_POINTS, 2 * clusters)])
    ones = torch.ones_like(seeding_points[:, :1])
    seeds = k_means_plus_plus(ones, seeding_points, clusters, rng, seeding_weights)
    enough = max(MOST_PRODUCTS // (clusters * points.shape[1]), LEAST_POINTS * clusters)
    if enough >= len(points):
        return _lloyd(points, sample_weights, seeding_points[seeds], iterations)
    learned = _lloyd(*_some(points, sample_weights, order[:enough]), seeding_points[seeds], iterations)
    return _assign(points, learned.centers)


def _some(
    points: Float[Tensor, "n d"], sample_weights: Float[Tensor, " n"], rows: NDArray[np.int64]
) -> tuple[Float[Tensor, "k d"], Float[Tensor, " k"]]:
    """Some of the points with their weights, in the order of all."""
    index = torch.from_numpy(np.sort(rows)).to(points.device)
    return gathered(points, index), sample_weights[index]


def _lloyd(
    points: Float[Tensor, "n d"], sample_weights: Float[Tensor, " n"], centers: Float[Tensor, "k d"], iterations: int
) -> Clusters:
    """The clusters after at most so many iterations from these centers."""
    current = _assign(points, centers)
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
    chunks = zip(parts(points, CHUNK), clusters.assignment.split(CHUNK), sample_weights.split(CHUNK), strict=True)
    for chunk, assignment, weights in chunks:
        sums.index_add_(0, assignment, chunk * weights.unsqueeze(1))
    totals = torch.zeros_like(sums[:, 0]).index_add_(0, clusters.assignment, sample_weights).unsqueeze(1)
    return torch.where(totals > 0, sums / totals, clusters.centers)


def _assign(points: Float[Tensor, "n d"], centers: Float[Tensor, "k d"]) -> Clusters:
    """Every point assigned to its nearest center."""
    norms = squared_norms(centers)
    found = [
        (torch.addmm(norms, chunk, centers.T, alpha=-2).min(1), squared_norms(chunk)) for chunk in parts(points, CHUNK)
    ]
    squared_distances = torch.cat([nearest.values + squares for nearest, squares in found]).clamp_(min=0)
    return Clusters(centers, torch.cat([nearest.indices for nearest, _ in found]), squared_distances)


def nearest_to_centers(clusters: Clusters) -> Int[Tensor, " k"]:
    """For each cluster that is not empty, the index of the point nearest to its center."""
    nearest_first = clusters.squared_distances.sort(stable=True).indices
    sorted_clusters, order = clusters.assignment[nearest_first].sort(stable=True)
    first = torch.ones_like(sorted_clusters, dtype=torch.bool)
    first[1:] = sorted_clusters[1:] != sorted_clusters[:-1]
    return nearest_first[order[first]]
