"""Ranking loss, regression loss and ranking accuracy: values and gradients by hand."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from columns import column, number
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from lossnet import ranking_accuracy, ranking_loss, regression_loss


def test_ranking_loss_by_hand() -> None:
    # Pairs (0, 3) and (1, 2). Losses 4 > 1: max(0, 1 - (0.2 - 0.5)) = 1.3. Losses 2 < 3: max(0, 1 + (0.1 - 0.9)) = 0.2.
    assert number(ranking_loss(column(0.2, 0.1, 0.9, 0.5), column(4, 2, 3, 1))) == pytest.approx((1.3 + 0.2) / 2)


def test_pairs_are_mirrored_and_not_neighbors() -> None:
    predicted, losses = column(0, 5, 9, 3), column(0, 1, 2, 3)
    # (0, 3) and (1, 2) stand in order, wider than the margin; of the neighbors, (2, 3) would not.
    assert number(ranking_loss(predicted, losses)) == 0
    assert number(ranking_loss(column(0, 9, 5, 3), losses)) == pytest.approx(5 / 2)


@pytest.mark.parametrize(("gap", "expected"), [(0.25, 1.25), (0.0, 1.0), (-0.25, 0.75), (-2.0, 0.0)])
def test_a_tie_of_losses_counts_as_the_first_being_smaller(gap: float, expected: float) -> None:
    assert number(ranking_loss(column(gap, 0), column(7, 7))) == pytest.approx(expected)


def test_the_margin_is_the_hinge() -> None:
    assert number(ranking_loss(column(2, 0), column(1, 0), margin=2.5)) == pytest.approx(0.5)
    assert number(ranking_loss(column(2, 0), column(1, 0), margin=2.0)) == 0


def test_an_odd_last_item_is_left_out() -> None:
    predicted, losses = column(0.2, 0.1, 0.9, 0.5, 123.0), column(4, 2, 3, 1, -50)
    assert number(ranking_loss(predicted, losses)) == pytest.approx(0.75)
    losses[4] = math.nan
    assert number(ranking_loss(predicted, losses)) == pytest.approx(0.75)


@pytest.mark.parametrize("count", [0, 1])
def test_without_a_pair_the_loss_is_zero_and_still_has_a_gradient(count: int) -> None:
    predicted = torch.full((count,), 3.0, requires_grad=True)
    loss = ranking_loss(predicted, torch.ones(count))
    loss.backward()
    assert number(loss) == 0
    assert predicted.grad is not None
    assert not predicted.grad.any()


@pytest.mark.parametrize("compare", [ranking_loss, regression_loss])
def test_gradients_flow_into_the_predictions_only(compare: object) -> None:
    predicted, losses = column(0.2, 0.1, 0.9, 0.5).requires_grad_(), column(4, 2, 3, 1).requires_grad_()
    compare(predicted, losses * 2).backward()
    assert predicted.grad.any()
    assert losses.grad is None


def test_the_gradient_by_hand() -> None:
    predicted = column(0.2, 0.1, 0.9, 0.5).requires_grad_()
    ranking_loss(predicted, column(4, 2, 3, 1)).backward()
    # Up where the loss is the larger one of its pair, half a unit each.
    assert predicted.grad.tolist() == [-0.5, 0.5, -0.5, 0.5]


def test_regression_loss_by_hand() -> None:
    assert number(regression_loss(column(1, 2), column(3, 2.5))) == pytest.approx((4 + 0.25) / 2)


LOSSES = column(0.1, 0.4, 0.2, 3.0, 1.0)


@pytest.mark.parametrize(
    ("predicted", "losses", "expected"),
    [
        (LOSSES * 100 - 7, LOSSES, 1.0),
        (-LOSSES, LOSSES, 0.0),
        (torch.zeros(5), LOSSES, 0.5),
        (column(1, 2, 3), column(1, 1, 2), 1.0),  # the tied pair is left out
        (column(2, 2, 3), column(1, 2, 3), 2.5 / 3),  # a tied prediction is half right
        (column(1, 3, 2), column(1, 2, 3), 2 / 3),
    ],
)
def test_ranking_accuracy_by_hand(predicted: Tensor, losses: Tensor, expected: float) -> None:
    assert ranking_accuracy(predicted, losses) == pytest.approx(expected)


@pytest.mark.parametrize("losses", [[], [1.0], [2.0, 2.0, 2.0]])
def test_without_a_decided_pair_there_is_no_accuracy(losses: list[float]) -> None:
    assert math.isnan(ranking_accuracy(torch.arange(float(len(losses))), column(*losses)))


SMALL = st.integers(-3, 3).map(float)


@given(arrays.arrays(np.float32, st.tuples(st.just(2), st.integers(2, 9)), elements=SMALL))
def test_ranking_accuracy_equals_counting_pairs(values: np.ndarray) -> None:
    predicted, losses = values
    scores = [
        0.5 if predicted[i] == predicted[j] else float((predicted[i] > predicted[j]) == (losses[i] > losses[j]))
        for i, j in combinations(range(len(losses)), 2)
        if losses[i] != losses[j]
    ]
    found = ranking_accuracy(torch.from_numpy(predicted), torch.from_numpy(losses))
    assert found == pytest.approx(np.mean(scores)) if scores else math.isnan(found)
