"""Sampling and clustering, beside slower ways to the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch import Tensor

from strategies.kernels.clustering import Clusters, k_means, k_means_plus_plus, nearest_to_centers


def naive_draws(vectors: Tensor, picks: int, rng: np.random.Generator, weights: Tensor) -> list[int]:
    """The same by the definition: all distances anew for every draw, in float64."""
    chosen: list[int] = []
    for draw in rng.random(picks):
        left = vectors.double()
        near = (left[:, None] - left[chosen]).square().sum(2).amin(1) if chosen else torch.ones(len(left)).double()
        near[chosen] = 0
        if not near.sum() > 0:
            near = torch.ones(len(left)).double()
            near[chosen] = 0
        sums = (near * weights.double()).cumsum(0)
        chosen.append(int((sums <= draw * sums[-1]).sum()))
    return chosen


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.booleans(), st.sampled_from([1, 3, 100]))
def test_sampling_equals_the_naive_form_on_the_same_draws(seed: int, count: int, weighted: bool, most: int) -> None:
    """Whole coordinates, where float32 makes no error; many of the points are equal."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randint(-most, most + 1, (count, size), generator=generator).float() for size in (2, 3))
    weights = torch.randint(1, 5, (count,), generator=generator).float() if weighted else torch.ones(count)
    formed = torch.einsum("na,nb->nab", left, right).flatten(1)
    rng = np.random.default_rng(seed)
    found = k_means_plus_plus(left, right, count, rng, weights if weighted else None)
    assert found.tolist() == naive_draws(formed, count, np.random.default_rng(seed), weights)
    assert sorted(found.tolist()) == list(range(count))


def test_a_weight_is_a_factor_of_the_probability() -> None:
    """On a line: from the middle both ends are equally far, and one counts three times."""
    points, weights = torch.tensor([[0.0], [-1.0], [1.0]]), torch.tensor([1e9, 1.0, 3.0])
    ones = torch.ones(3, 1)
    rng = np.random.default_rng(0)
    seconds = [int(k_means_plus_plus(ones, points, 2, rng, weights)[1]) for _ in range(2000)]
    assert np.mean(np.array(seconds) == 2) == pytest.approx(0.75, abs=0.03)


def cloud(seed: int, count: int = 300) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 6, generator=generator), torch.rand(count, generator=generator) + 0.1


@pytest.mark.parametrize("weighted", [False, True])
def test_k_means_equals_scikit_learns_from_the_same_seeds(weighted: bool) -> None:
    points, weights = cloud(0)
    often = weights if weighted else None
    found = k_means(points, 12, np.random.default_rng(1), iterations=300, weights=often)
    rng = np.random.default_rng(1)
    order = np.sort(rng.permutation(len(points)))
    seeds = k_means_plus_plus(torch.ones(len(points), 1), points[order], 12, rng, often)
    reference = KMeans(12, init=points[order][seeds].numpy(), n_init=1, tol=0, algorithm="lloyd")
    reference.fit(points.numpy(), sample_weight=None if often is None else often.numpy())
    torch.testing.assert_close(found.centers, torch.from_numpy(reference.cluster_centers_), rtol=1e-4, atol=1e-4)
    assert found.assignment.tolist() == reference.labels_.tolist()
    expected = (points - found.centers[found.assignment]).square().sum(1)
    torch.testing.assert_close(found.squared_distances, expected, rtol=1e-3, atol=1e-4)


def test_more_clusters_than_points_leave_some_empty() -> None:
    points = torch.tensor([[0.0], [0.0], [5.0]])
    found = k_means(points, 9, np.random.default_rng(0))
    assert len(found.centers) == 3
    assert found.assignment[0] == found.assignment[1] != found.assignment[2]
    assert found.squared_distances.tolist() == [0, 0, 0]


def test_equal_points_are_one_cluster() -> None:
    found = k_means(torch.full((7, 2), 0.3), 3, np.random.default_rng(0))
    assert len(set(found.assignment.tolist())) == 1
    assert found.squared_distances.max() < 1e-6


def test_each_cluster_gives_its_nearest_point() -> None:
    member, squares = torch.tensor([2, 0, 2, 0, 5, 2]), torch.tensor([3.0, 1.0, 2.0, 1.0, 0.0, 9.0])
    assert nearest_to_centers(Clusters(torch.zeros(6, 1), member, squares)).tolist() == [1, 2, 4]
    assert nearest_to_centers(Clusters(torch.zeros(6, 1), member[:1], squares[:1])).tolist() == [0]
