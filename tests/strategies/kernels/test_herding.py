"""Greedy generalized coverage: numbers by hand, and the same picks as with a matrix of all pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_contexts import normal
from torch import Tensor

from strategies.kernels import herding
from strategies.kernels.herding import Gains, coverage, gaussian, greedy_picks, smallest_distance


def picks_of(
    points: Tensor, weights: Tensor, covered: Tensor, radius: float, picks: int
) -> tuple[list[int], list[float]]:
    """The picks and their gains."""
    rows, gains = greedy_picks(Gains(points, weights, covered, radius, np.random.default_rng(0)), picks)
    return rows.tolist(), gains.tolist()


def naive(points: Tensor, weights: Tensor, covered: Tensor, radius: float, picks: int) -> tuple[list[int], list[float]]:
    """The same from all pairs, with every gain computed anew."""
    kernel = torch.exp(-((torch.cdist(points, points) / radius) ** 2))
    rows: list[int] = []
    gains: list[float] = []
    for _ in range(min(picks, len(points))):
        gain = (kernel - covered.unsqueeze(1)).clamp(min=0).T @ weights
        gain[rows] = -1
        rows.append(int(gain.argmax()))
        gains.append(float(gain.max()))
        covered = torch.maximum(covered, kernel[rows[-1]])
    return rows, gains


def test_gains_on_a_line_by_hand() -> None:
    points, weights, near = torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([1.0, 1.0, 3.0]), math.exp(-1)
    rows, gains = picks_of(points, weights, torch.zeros(3), 1.0, 3)
    # 9 covers itself, three times; then 0 and 1 cover each other by exp(-1); the last adds what is missing of itself.
    assert rows == [2, 0, 1]
    assert gains == pytest.approx([3, 1 + near, 1 - near])
    rows, gains = picks_of(points, weights, torch.tensor([1.0, near, 0.5]), 1.0, 3)
    assert rows == [2, 1, 0]
    assert gains == pytest.approx([1.5, 1 - near, 0])


def test_coverage_is_the_largest_kernel_value() -> None:
    points, centers = torch.tensor([[0.0], [3.0]]), torch.tensor([[0.0], [2.0]])
    assert coverage(points, centers, 2.0).tolist() == pytest.approx([1, math.exp(-1 / 4)])
    assert coverage(points, centers[:0], 2.0).tolist() == [0, 0]
    assert gaussian(torch.tensor([4.0]), 2.0).tolist() == pytest.approx([math.exp(-1)])


def test_the_smallest_distance_is_that_of_points_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(herding, "CHUNK", 2)
    points = torch.nn.functional.normalize(normal(9, 4).float())
    expected = float(torch.pdist(points.double()).min())
    assert smallest_distance(points) == pytest.approx(expected)
    assert smallest_distance(torch.cat([points, points])) == pytest.approx(expected)
    rounded = points * (1 + 1e-5)  # the same images in another batch
    assert smallest_distance(torch.cat([points, rounded])) == pytest.approx(expected, rel=1e-4)
    for alike in (points[:0], points[:1], points[:1].expand(5, -1)):
        assert smallest_distance(alike) is None


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(1, 70), st.sampled_from([0.1, 0.7, 3.0]), st.integers(0, 2**32 - 1))
def test_picks_are_those_of_all_pairs(count: int, picks: int, radius: float, seed: int) -> None:
    points = normal(count, 3, seed=seed)
    weights, covered = normal(2, count, seed=seed + 1).sigmoid()
    rows, gains = picks_of(points, weights, covered, radius, picks)
    expected_rows, expected = naive(points, weights, covered, radius, picks)
    assert gains == pytest.approx(expected, abs=1e-9)
    assert rows == expected_rows


def test_bounds_are_renewed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(herding, "FIRST_BLOCK", 1)
    points, weights = normal(300, 4), normal(300, seed=1).sigmoid()
    for radius in (0.3, 2.0):
        assert (
            picks_of(points, weights, weights * 0, radius, 60)[0] == naive(points, weights, weights * 0, radius, 60)[0]
        )


def test_of_many_points_gains_are_estimated_around_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(herding, "KERNEL_NUMBERS", 400 * 100)
    points, weights = normal(400, 3), normal(400, seed=1).sigmoid()
    covered = coverage(points, points[:5], 0.5)
    kernel = torch.exp(-((torch.cdist(points, points) / 0.5) ** 2))
    exact = (kernel - covered.unsqueeze(1)).clamp(min=0).T @ weights
    found = []
    for seed in range(300):
        gains = Gains(points, weights, covered, 0.5, np.random.default_rng(seed))
        found.append(gains.of(gains.all_rows))
    error = torch.stack(found).mean(0) - exact
    spread = torch.stack(found).std(0) / math.sqrt(300)
    assert (error.abs() <= 5 * spread + 1e-12).all()
    assert spread.max() > 0


def test_under_a_narrow_kernel_no_point_depends_on_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(herding, "KERNEL_NUMBERS", 200 * 20)
    points, weights = normal(200, 6), normal(200, seed=1).sigmoid()
    rows, gains = picks_of(points, weights, weights * 0, 1e-3, 200)
    values, order = weights.sort(descending=True)
    assert rows == order.tolist()
    assert gains == pytest.approx(values.tolist())
