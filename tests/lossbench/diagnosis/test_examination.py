"""What an examination computes from losses, confidences and predictions."""

from __future__ import annotations

import numpy as np
import pytest

from lossbench.diagnosis.examination import ConfidenceBin, Examination, confidence_bins


def test_bins_hold_weighted_means() -> None:
    confidence = np.array([0.05, 0.92, 0.98, 1.0, 0.5])
    right = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    weight = np.array([1.0, 1.0, 2.0, 1.0, 0.0])
    low, high = confidence_bins(confidence, right, weight)
    assert low == ConfidenceBin(0.05, 0.0, pytest.approx(0.2))
    assert high.confidence == pytest.approx((0.92 + 2 * 0.98 + 1.0) / 4)
    assert high.accuracy == pytest.approx(0.5)
    assert high.share == pytest.approx(0.8)
    found = Examination(1, np.zeros(2), None, (low, high))
    assert found.calibration_error == pytest.approx(0.2 * 0.05 + 0.8 * (0.97 - 0.5))
    assert np.isnan(found.ranking_accuracy)
    assert np.isnan(found.rank_correlation)


def test_spearman_is_of_ranks() -> None:
    found = Examination(1, np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 10.0, 9.0, 1000.0]), ())
    assert found.rank_correlation == pytest.approx(0.8)
    assert found.ranking_accuracy == pytest.approx(5 / 6)
