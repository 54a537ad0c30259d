"""Fisher information of rank one: every trace by the definition, and the same picks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_contexts import normal
from torch import Tensor

from strategies.kernels.fisher import FisherBatch, fisher_picks


def trace(start: Tensor, pool: Tensor, vectors: Tensor) -> float:
    """tr(F A^-1) by the definition."""
    return float(torch.trace(torch.linalg.solve(start + vectors.T @ vectors, pool)))


def naive(vectors: Tensor, start: Tensor, pool: Tensor, picks: int, most: int) -> list[int]:
    """The paper's forward selection and backward removal, every trace computed anew."""
    chosen: list[int] = []
    for _ in range(most):
        free = [row for row in range(len(vectors)) if row not in chosen]
        chosen.append(min(free, key=lambda row: trace(start, pool, vectors[[*chosen, row]])))
    while len(chosen) > picks:
        chosen.remove(min(chosen, key=lambda row: trace(start, pool, vectors[[one for one in chosen if one != row]])))
    return chosen


def problem(count: int, size: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors, the information at the start and that of the pool."""
    vectors, labeled = normal(count, size, seed=seed), normal(3, size, seed=seed + 1)
    return vectors, torch.eye(size, dtype=torch.float64) + labeled.T @ labeled, vectors.T @ vectors / count


def test_changes_by_hand() -> None:
    # A = 1, F = 2, z = 1: the trace falls from 2 to 1; z = 2: to 2/5. Removing z = 1 from A = 6 raises 1/3 to 2/5.
    batch = FisherBatch(torch.tensor([[1.0], [2.0]]), torch.ones(1, 1), torch.full((1, 1), 2.0))
    assert batch.added().tolist() == pytest.approx([1, 1.6])
    batch.change(1, 1)
    assert batch.added().tolist()[0] == pytest.approx(2 / 5 - 2 / 6)
    batch.change(0, 1)
    assert batch.removed(torch.tensor([0, 1])).tolist() == pytest.approx([2 / 5 - 1 / 3, 1 - 1 / 3])
    batch.change(1, -1)
    assert batch.removed(torch.tensor([0])).tolist() == pytest.approx([1])


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 2), st.integers(1, 5), st.sampled_from([1.0, 1.5, 2.0]))
def test_picks_are_the_papers(seed: int, picks: int, oversampling: float) -> None:
    vectors, start, pool = problem(12, 4, seed)
    expected = naive(vectors, start, pool, picks, max(picks, round(oversampling * picks)))
    assert fisher_picks(FisherBatch(vectors, start, pool), picks, oversampling).tolist() == expected


def test_many_changes_in_float32_add_up() -> None:
    vectors, start, pool = problem(400, 20, 0)
    batch = FisherBatch(vectors.float(), start, pool)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(400)[:200].tolist()
    for row in chosen:
        batch.change(row, 1)
    for row in chosen[:150]:
        batch.change(row, -1)
    fresh = FisherBatch(vectors, start + vectors[chosen[150:]].T @ vectors[chosen[150:]], pool)
    torch.testing.assert_close(batch.added(), fresh.added(), rtol=1e-4, atol=1e-7)


def test_all_can_be_picked_and_none_twice() -> None:
    vectors, start, pool = problem(7, 3, 0)
    for points in (vectors, vectors * 0):
        assert sorted(fisher_picks(FisherBatch(points, start, pool), 7, 2.0).tolist()) == list(range(7))
