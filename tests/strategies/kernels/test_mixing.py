"""Kernels of feature mixing: directions, distances to anchors, divergences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import entropy as relative_entropy

from strategies import SelectionError
from strategies.kernels.mixing import Anchors, changed_weight, symmetric_divergence, unit_gradients
from tasks.base import Posteriors


def test_the_closed_form_maximises_the_linearised_loss() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        point, anchor, gradient = rng.normal(size=(3, 4))
        gap, reach = anchor - point, 0.3 * np.linalg.norm(anchor - point)
        closed = reach * gradient / np.linalg.norm(gradient) / gap
        bound = {"type": "ineq", "fun": lambda alpha, gap=gap, reach=reach: reach**2 - ((alpha * gap) ** 2).sum()}
        best = minimize(
            lambda alpha, gap=gap, gradient=gradient: -(alpha * gap) @ gradient,
            np.full(4, 0.01), constraints=bound, method="SLSQP", options={"ftol": 1e-12, "maxiter": 500},
        )  # fmt: skip
        assert best.success
        np.testing.assert_allclose(closed, best.x, rtol=1e-3, atol=1e-4)
        move = reach * unit_gradients(torch.tensor(gradient)[None])[0].numpy()  # what the strategy adds to the features
        np.testing.assert_allclose(move, closed * gap, rtol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-4, 3.0, 1e4]))
def test_the_farthest_anchor_is_found_wherever_the_points_lie(seed: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    points, means = rng.normal(offset, 1, (20, 6)).astype(np.float32), rng.normal(offset, 1, (4, 6)).astype(np.float32)
    expected = np.linalg.norm(points[:, None].astype(float) - means, axis=2).max(1)
    found = Anchors.of(torch.from_numpy(means)).farthest_distances(torch.from_numpy(points))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_directions_have_length_one_and_a_zero_gradient_has_none() -> None:
    found = unit_gradients(torch.tensor([[3.0, -4.0], [0.0, 0.0], [1e-30, 0.0], [-3e30, 4e30]]))
    torch.testing.assert_close(found, torch.tensor([[0.6, -0.8], [0.0, 0.0], [1.0, 0.0], [-0.6, 0.8]]))
    with pytest.raises(SelectionError, match="1 of 2 numbers of the gradients"):
        unit_gradients(torch.tensor([[1.0, torch.nan], [1.0, 1.0]]))


def test_symmetric_divergence_by_hand() -> None:
    one, other = torch.tensor([[[0.5, 0.5, 0.0]]]), torch.tensor([[[0.25, 0.75, 0.0]]])
    weight, about = torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.long)
    found = symmetric_divergence(*(Posteriors(each.log(), weight, about) for each in (one, other)))
    expected = relative_entropy([0.5, 0.5], [0.25, 0.75]) + relative_entropy([0.25, 0.75], [0.5, 0.5])
    assert found.item() == pytest.approx(expected)
    assert symmetric_divergence(*[Posteriors(one.log(), weight, about)] * 2).item() == 0


@pytest.mark.parametrize("rows", [14, 64, 100, 196, 400])
def test_half_of_equal_rows_are_half_the_weight(rows: int) -> None:
    weight = torch.full((1, rows), 1 / rows)
    posteriors = Posteriors(torch.zeros(1, rows, 2), weight, torch.zeros(1, rows, dtype=torch.long))
    for shift in (0, 1):
        changed = (torch.arange(rows) % 2 == shift).unsqueeze(0)
        assert changed_weight(posteriors, changed).tolist() == [0.5]
