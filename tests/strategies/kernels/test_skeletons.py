"""Maxima of maps, trees and likelihoods of distances, by hand and beside slower ways."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import minimum_spanning_tree
from tiny_contexts import normal
from torch.distributions import Normal

from strategies.kernels.skeletons import (
    Places,
    distance_variances,
    edge_distances,
    expected_negative_log_likelihood,
    local_maxima,
    negative_log_likelihood,
    spanning_tree,
)


def test_maxima_by_hand() -> None:
    rows = torch.tensor([[0.1, 0.3, 0.0, 0.0], [0.0, 0.0, 0.0, 0.2], [0.0, 0.0, 0.25, 0.0]])
    places = local_maxima(rows.reshape(1, 1, 12), (3, 4), 3, 1)
    # .2 is beside .25 (a corner counts); the other zeros are maxima only where all around them is 0.
    assert places.probs.tolist() == [[pytest.approx([0.3 / 0.55, 0.25 / 0.55, 0])]]
    assert places.positions[0, 0, :2].tolist() == [pytest.approx([0.125, 0.375]), pytest.approx([0.625, 0.625])]
    alone = local_maxima(rows.reshape(1, 1, 12), (3, 4), 1, 1)
    assert alone.probs.tolist() == [[[1.0]]]
    assert local_maxima(rows.reshape(1, 1, 12), (3, 4), 99, 3).probs.count_nonzero() == 1


def test_an_even_map_has_maxima_of_equal_probability() -> None:
    places = local_maxima(torch.full((2, 3, 16), 1 / 16), (4, 4), 5, 2)
    torch.testing.assert_close(places.probs, torch.full((2, 3, 5), 0.2))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_the_tree_is_the_smallest(count: int, seed: int) -> None:
    costs = normal(count, count, seed=seed)
    costs = costs + costs.T
    edges = spanning_tree(costs).tolist()
    assert len(edges) == count - 1
    reached = {0}
    for one, other in edges:
        assert one in reached
        assert other not in reached
        reached.add(other)
    shifted = (costs - costs.min() + 1).numpy()  # scipy reads 0 as no edge; a tree of all rows keeps its edges
    expected = minimum_spanning_tree(np.triu(shifted, 1)).sum()
    assert sum(shifted[one, other] for one, other in edges) == pytest.approx(expected)


def test_rows_that_no_image_shows_together_are_joined_last() -> None:
    costs = torch.tensor([[0.0, torch.inf, 5.0], [torch.inf, 0.0, 3.0], [5.0, 3.0, 0.0]])
    assert spanning_tree(costs).tolist() == [[0, 2], [2, 1]]
    assert spanning_tree(torch.full((2, 2), torch.inf)).tolist() == [[0, 1]]
    assert spanning_tree(torch.zeros(1, 1)).shape == (0, 2)


def test_variances_by_hand() -> None:
    positions = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
    shown = torch.tensor([[True, True, True], [True, True, False]])
    found = distance_variances(positions, shown, 0.01)
    assert found[0, 1].item() == pytest.approx(4)  # distances of 5 and 1
    assert found[0, 2].item() == found[1, 2].item() == pytest.approx(0.01)  # one distance
    assert torch.isinf(distance_variances(positions, shown & False, 0.01)).all()


def test_densities_are_those_of_the_normal_distribution() -> None:
    distances, means, logs = normal(3, 50)
    expected = -Normal(means, (logs / 2).exp()).log_prob(distances)
    torch.testing.assert_close(negative_log_likelihood(distances, means, logs), expected)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_the_expectation_is_that_over_all_pairs(rows: int, places: int, seed: int) -> None:
    positions, probs = normal(2, rows, places, 2, seed=seed), normal(2, rows, places, seed=seed + 1).softmax(2)
    edges = torch.tensor(list(itertools.combinations(range(rows), 2)), dtype=torch.long).reshape(-1, 2)
    means, logs = normal(2, 2, len(edges), seed=seed + 2)
    found = expected_negative_log_likelihood(Places(positions, probs), edges, means, logs)
    assert found.shape == (2, len(edges))
    for image, (number, (one, other)) in itertools.product(range(2), enumerate(edges.tolist())):
        expected = 0.0
        for here, there in itertools.product(range(places), repeat=2):
            distance = math.dist(positions[image, one, here].tolist(), positions[image, other, there].tolist())
            density = Normal(means[image, number], (logs[image, number] / 2).exp()).log_prob(torch.tensor(distance))
            expected -= float(probs[image, one, here] * probs[image, other, there] * density)
        assert found[image, number].item() == pytest.approx(expected)


def test_distances_by_hand() -> None:
    positions = torch.tensor([[[[0.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [1.0, 1.0]]]])
    root = math.sqrt(2)
    found = edge_distances(positions, torch.tensor([[0, 1]]))
    assert found.flatten().tolist() == pytest.approx([2, root, math.sqrt(5), 1])
