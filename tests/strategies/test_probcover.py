"""ProbCover: its radius and its cover by hand and by its algorithm."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_contexts import CANDIDATES, LABELED, MakeContext, clustered
from torch import Tensor

from strategies.base import unit_embeddings
from strategies.kernels.clustering import k_means
from strategies.probcover import ProbCover, covering_picks, pure_radius


def test_the_pure_radius_by_hand() -> None:
    points = torch.tensor([[0.0], [1.0], [4.0], [9.0]])
    member = torch.tensor([0, 0, 1, 1])
    # To the nearest of the other cluster: 4, 3, 3, 8. All balls are pure below 3, half of them below 4.
    assert pure_radius(points, member, 1.0) == pytest.approx(3)
    assert pure_radius(points, member, 0.5) == pytest.approx(4)
    assert pure_radius(points, torch.zeros(4, dtype=torch.long), 0.95) == math.inf


@settings(deadline=None, max_examples=60)
@given(clustered(), st.floats(0.05, 1))
def test_the_pure_radius_is_the_largest(drawn: tuple[Tensor, Tensor, int, int], purity: float) -> None:
    points, member, _, _ = drawn
    radius = pure_radius(points, member, purity)
    distances = torch.cdist(points, points)

    def share(of: float) -> float:
        foreign = (distances < of) & (member[:, None] != member)
        return 1 - foreign.any(1).double().mean().item()

    assert share(radius - 1e-6) >= purity - 1e-9
    if math.isfinite(radius):
        assert share(radius + 1e-6) < purity


def covered_by_hand(points: Tensor, labeled: int, radius: float, picks: int) -> tuple[list[int], list[int]]:
    """Algorithm 1 on the graph of all points, until nobody covers anything more."""
    edges = (torch.cdist(points, points) < radius) | torch.eye(len(points), dtype=torch.bool)
    edges[:, edges[:labeled].any(0)] = False
    rows, gains = [], []
    while len(rows) < picks:
        degrees = edges.sum(1)
        degrees[:labeled] = -1
        if degrees.max() <= 0:
            break
        rows.append(int(degrees.argmax()))
        gains.append(int(degrees.max()))
        edges[:, edges[rows[-1]].clone()] = False
    return rows, gains


@settings(deadline=None, max_examples=60)
@given(clustered(), st.sampled_from([0.0, 0.5, 1.5, 3.5, 20.5, math.inf]))
def test_probcover_covers_as_its_algorithm_says(drawn: tuple[Tensor, Tensor, int, int], radius: float) -> None:
    points, _, labeled, picks = drawn
    rows, covered = covering_picks(points, labeled, radius, picks, np.random.default_rng(0))
    expected, gains = covered_by_hand(points, labeled, radius, picks)
    assert rows[: len(expected)].tolist() == expected
    assert covered.tolist() == gains + [0] * (len(rows) - len(gains))
    assert len(set(rows.tolist())) == len(rows) == min(picks, len(points) - labeled)
    assert rows.min() >= labeled


def test_probcover_on_a_line() -> None:
    points = torch.tensor([[0.0], [0.5], [1.0], [2.0], [3.0], [4.0], [9.0], [10.2]])
    rows, covered = covering_picks(points, 1, 1.1, 4, np.random.default_rng(0))
    # What is labeled, 0, covers up to 1; then 3 covers 2, 3 and 4; then 9 and 10.2 cover themselves; then none is bare.
    assert rows[:3].tolist() == [4, 6, 7]
    assert covered.tolist() == [3, 1, 1, 0]
    others = {int(covering_picks(points, 1, 1.1, 4, np.random.default_rng(each))[0][3]) for each in range(40)}
    assert others == {1, 2, 3, 5}


def test_probcover_finds_its_radius_by_as_many_clusters_as_groups(context: MakeContext) -> None:
    ctx, rng = context(), np.random.default_rng(0)
    candidates = rng.permutation(CANDIDATES)  # of candidates that cover equally many, a random one
    points = unit_embeddings(ctx, np.concatenate([LABELED, candidates]))
    radius = pure_radius(points, k_means(points, 4, rng).assignment, 0.95)
    rows, covered = covering_picks(points, len(LABELED), radius, 5, rng)
    found = ProbCover().select(ctx)
    assert found.ids.tolist() == candidates[rows.numpy() - len(LABELED)].tolist()
    assert found.scores.tolist() == covered.tolist()
    assert 0 < radius < 2


def test_probcover_covers_a_subset_of_many(context: MakeContext) -> None:
    strategy = ProbCover(most_candidates=6)
    kept = context().narrowed(6).candidates
    assert set(strategy.select(context()).ids.tolist()) <= set(kept.tolist())
    assert len(set(strategy.select(context(budget=20)).ids.tolist())) == 20
