"""Kernels on pools beyond memory: draws by rejection, k-means on a sample, points in files, merged top scores."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from strategies.kernels import clustering, draws, rows
from strategies.kernels.clustering import LEAST_POINTS, k_means, k_means_plus_plus
from strategies.kernels.geometry import BLOCK, CHUNK, centered_rows, greedy_k_center
from strategies.kernels.rows import largest_first
from tasks import memory
from tasks.memory import in_file, room


@pytest.fixture
def many_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is drawn takes too many multiplications."""
    monkeypatch.setattr(clustering, "MOST_PRODUCTS", 1)


def cloud(count: int, size: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def in_a_file(tensor: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The same numbers, in a file."""
    with monkeypatch.context() as patch:
        patch.setenv(memory.MEMORY, "0")
        found = room(len(tensor), tensor).copy_(tensor)
    assert in_file(found)
    return found


def chances(points: Tensor, weights: Tensor, picks: int) -> dict[tuple[int, ...], float]:
    """The probability of each ordered draw of k-means++, by its definition."""
    squares = (points[:, None] - points).square().sum(2).double()

    def chance(order: tuple[int, ...]) -> float:
        product, nearest = 1.0, torch.ones(len(points)).double()
        for pick in order:
            product *= float(weights[pick] * nearest[pick] / (weights * nearest).sum())
            nearest = squares[pick] if nearest.eq(1).all() else torch.minimum(nearest, squares[pick])
        return product

    return {order: chance(order) for order in permutations(range(len(points)), picks)}


@pytest.mark.usefixtures("many_products")
@pytest.mark.parametrize("proposals", [2, 64])
def test_draws_by_rejection_have_the_probabilities_of_k_means_plus_plus(
    proposals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draws, "PROPOSALS", proposals)
    left, right = torch.tensor([[1.0], [2.0], [1.0], [1.0]]), torch.tensor([[0.0], [0.5], [3.0], [3.5]])
    weights, rng, runs = torch.tensor([1.0, 2.0, 1.0, 3.0]).double(), np.random.default_rng(0), 500
    found = [tuple(k_means_plus_plus(left, right, 3, rng, weights).tolist()) for _ in range(runs)]
    expected = chances(left * right, weights, 3)
    assert sum(expected.values()) == pytest.approx(1)
    common = [order for order, chance in expected.items() if chance * runs >= 5]
    counts = [found.count(order) for order in common]
    wanted = [runs * expected[order] for order in common]
    rest = runs - sum(wanted)
    assert stats.chisquare([*counts, runs - sum(counts)], [*wanted, rest]).pvalue > 1e-3


@pytest.mark.usefixtures("many_products")
def test_many_draws_by_rejection_are_distinct_and_repeat_under_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "PROPOSALS", 100)
    left, right = cloud(600, 3), cloud(600, 6, 1)
    found = k_means_plus_plus(left, right, 500, np.random.default_rng(3)).tolist()
    assert len(set(found)) == 500
    assert k_means_plus_plus(left, right, 500, np.random.default_rng(3)).tolist() == found


@pytest.mark.usefixtures("many_products")
def test_where_all_others_equal_picks_the_rest_is_drawn_by_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "PROPOSALS", 8)
    points = torch.tensor([[0.0], [0.0], [0.0], [7.0], [7.0]])
    weights, rng = torch.tensor([1.0, 1.0, 1.0, 1.0, 2.0]), np.random.default_rng(0)
    found = [k_means_plus_plus(torch.ones(5, 1), points, 5, rng, weights).tolist() for _ in range(300)]
    assert all(sorted(picks) == [0, 1, 2, 3, 4] for picks in found)
    thirds = [picks[2] for picks in found if 4 not in picks[:2]]
    assert np.mean([pick == 4 for pick in thirds]) == pytest.approx(2 / 4, abs=0.15)


def test_few_products_are_drawn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    points, ones = cloud(40), torch.ones(40, 1)
    monkeypatch.setattr(clustering, "MOST_PRODUCTS", 40 * 9 * 6)
    few = k_means_plus_plus(ones, points, 9, np.random.default_rng(0))
    monkeypatch.setattr(clustering, "MOST_PRODUCTS", 40 * 9 * 6 - 1)
    many = k_means_plus_plus(ones, points, 9, np.random.default_rng(0))
    vectors = draws.OuterProducts.of(ones, points)
    assert few.tolist() == draws.drawn_one_by_one(vectors, 9, np.random.default_rng(0), vectors.norms * 0 + 1).tolist()
    assert many.tolist() != few.tolist()


@pytest.mark.parametrize("count", [200, 1000])
def test_passing_over_short_vectors_changes_no_draw(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths over six orders of magnitude, equal vectors and zeros among them."""
    scale = torch.logspace(-3, 3, count).unsqueeze(1)[torch.randperm(count, generator=torch.Generator().manual_seed(1))]
    left, right = cloud(count, 3) * scale, cloud(count, 5, 1)
    left[:3], right[3:6] = 0, right[6]
    vectors, read = draws.OuterProducts.of(left, right), []
    ones, first_nearer = torch.ones_like(vectors.norms), draws._first_nearer
    monkeypatch.setattr(draws, "_first_nearer", lambda *given: read.append(first_nearer(*given)) or read[-1])
    found = draws.drawn_one_by_one(vectors, 60, np.random.default_rng(0), ones)
    assert max(read) >= draws.PASSED_OVER, "some are passed over"
    monkeypatch.setattr(draws, "_first_nearer", lambda *_: 0)
    monkeypatch.setattr(draws, "_by_length", lambda vectors: (torch.arange(count), vectors))
    assert torch.equal(found, draws.drawn_one_by_one(vectors, 60, np.random.default_rng(0), ones))


@pytest.mark.usefixtures("many_products")
def test_k_means_of_too_many_products_learns_from_a_sample() -> None:
    """Of clusters far apart it finds all; every point is assigned, and the centers are means of a part of them."""
    generator = torch.Generator().manual_seed(0)
    middles = 100 * torch.eye(4)
    member = torch.randint(4, (4000,), generator=generator)
    points = middles[member] + cloud(4000, 4)
    found = k_means(points, 4, np.random.default_rng(0))
    assert len(found.assignment) == 4000
    order = np.random.default_rng(0).permutation(4000)[: 4 * LEAST_POINTS]
    for cluster in range(4):
        own = member[found.assignment == cluster]
        assert len(own)
        assert (own == own[0]).all()
        sample = points[np.sort(order)][member[np.sort(order)] == own[0]]
        torch.testing.assert_close(found.centers[cluster], sample.mean(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("products", [1, clustering.MOST_PRODUCTS])
def test_kernels_give_the_same_bits_from_files(products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "MOST_PRODUCTS", products)
    points, left = cloud(CHUNK + 900, 17), cloud(CHUNK + 900, 3, 1)
    filed, filed_left = in_a_file(points, monkeypatch), in_a_file(left, monkeypatch)
    centers = cloud(BLOCK + 5, 17, 2)

    def found(points: Tensor, left: Tensor) -> list[Tensor]:
        rng = np.random.default_rng(0)
        drawn = k_means_plus_plus(left, points, 40, rng)
        return [*greedy_k_center(points, centers, 40), drawn, *k_means(points, 12, rng), centered_rows(points)]

    for held, mapped in zip(found(points.clone(), left), found(filed, filed_left), strict=True):
        assert torch.equal(held, mapped)


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(0, 45), st.integers(1, 7), st.integers(0, 99))
def test_merged_parts_give_the_rows_of_one_stable_sort(values: list[int], most: int, size: int, seed: int) -> None:
    scores = torch.tensor(values, dtype=torch.float32)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(values)))
    whole = order[scores[order].sort(descending=True, stable=True).indices[:most]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "SORTED_ROWS", size)
        assert largest_first(scores, order, most).tolist() == whole.tolist()
