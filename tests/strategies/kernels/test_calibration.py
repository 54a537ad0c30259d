"""The calibration error by hand, the classifier beside scikit-learn's, and temperatures that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tiny_contexts import normal

from strategies.kernels import calibration
from strategies.kernels.calibration import (
    HeldOut,
    best_temperature,
    calibration_error,
    held_out_temperature,
    linear_classifier,
)


def test_the_calibration_error_by_hand() -> None:
    confidence = torch.tensor([0.95, 0.95, 0.95, 0.55, 1.0])
    correct = torch.tensor([True, True, False, True, True])
    # Bins of 1/15: .95 and 1 are in the last (from 14/15 = .933), .55 in the ninth. 3.85 - 3 and .55 - 1, over 5.
    assert calibration_error(confidence, correct) == pytest.approx((0.85 + 0.45) / 5)
    assert calibration_error(torch.tensor([0.0]), torch.tensor([False])) == 0


@pytest.mark.parametrize("truth", [1.0, 3.0, 8.0])
def test_the_temperature_of_overconfident_logits_is_found(truth: float) -> None:
    rng = np.random.default_rng(0)
    logits = 2 * normal(20_000, 4)
    groups = torch.from_numpy(rng.random((20_000, 1))) < logits.softmax(1).cumsum(1)
    groups = torch.nn.functional.one_hot(groups.long().argmax(1), 4).bool()
    assert best_temperature(HeldOut(truth * logits, groups)) == pytest.approx(truth, rel=0.1)


def test_an_image_of_several_groups_is_right_if_it_is_of_the_likeliest() -> None:
    logits = torch.tensor([[40.0, 0.0, 0.0]]).expand(6, 3)
    both = torch.tensor([[True, True, False]]).expand(6, 3)
    assert best_temperature(HeldOut(logits, both)) == 1
    assert best_temperature(HeldOut(logits, ~both)) == pytest.approx(19.9)


def test_the_classifier_is_scikit_learns() -> None:
    points, others = normal(60, 5), normal(30, 5, seed=1)
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 3, 60))
    logits = linear_classifier(points, torch.nn.functional.one_hot(labels, 3).bool(), others)
    scale = float((points - points.mean(0)).square().mean().sqrt())
    inputs, other_inputs = ((each - points.mean(0)).numpy() / scale for each in (points, others))
    expected = LogisticRegression(tol=1e-8, max_iter=1000).fit(inputs, labels.numpy()).predict_proba(other_inputs)
    np.testing.assert_allclose(logits.softmax(1).numpy(), expected, atol=1e-3)


def test_few_labels_leave_a_temperature_of_1() -> None:
    points, groups = normal(20, 4), torch.zeros(20, 3, dtype=torch.bool)
    groups[:3, 0] = True
    assert held_out_temperature(points, groups, np.random.default_rng(0)) == 1
    assert held_out_temperature(points, groups[:, :0], np.random.default_rng(0)) == 1


def test_groups_that_embeddings_do_not_tell_apart_need_a_high_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "MOST_IMAGES", 150)
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 3, 200))
    groups = torch.nn.functional.one_hot(labels, 3).bool()
    noise = normal(200, 60)
    told = noise + 8 * groups.double() @ normal(3, 60, seed=2)
    found = [held_out_temperature(points, groups, np.random.default_rng(0)) for points in (noise, told)]
    assert found[0] > 3
    assert found[1] <= 1.5
