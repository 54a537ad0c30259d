"""Mean intersection over union by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.datasets.masks import VOID
from tasks.segmentation.metrics import confusion, segmentation_metrics

LABELS = np.array([[[0, 0], [1, VOID]]], np.uint8)
PREDICTED = np.array([[[0, 1], [1, 0]]], np.uint8)


def test_void_pixels_count_nowhere() -> None:
    assert confusion(PREDICTED, LABELS, 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_scores_by_hand() -> None:
    found = segmentation_metrics(confusion(PREDICTED, LABELS, 3))
    assert found["mIoU"] == pytest.approx((1 / 2 + 1 / 2) / 2)  # the third class is neither labeled nor predicted
    assert found["pixel_accuracy"] == pytest.approx(2 / 3)
    assert found["class_accuracy"] == pytest.approx((1 / 2 + 1) / 2)


def test_a_class_that_is_predicted_alone_has_a_score_of_zero() -> None:
    found = segmentation_metrics(confusion(np.full_like(LABELS, 2), LABELS, 3))
    assert found == {"mIoU": 0.0, "pixel_accuracy": 0.0, "class_accuracy": 0.0}


def test_images_are_counted_together_and_not_one_by_one() -> None:
    labels = np.array([[[0, 0]], [[0, 1]]], np.uint8).repeat(2, 1)
    predicted = np.array([[[0, 0]], [[0, 0]]], np.uint8).repeat(2, 1)
    assert segmentation_metrics(confusion(predicted, labels, 2))["mIoU"] == pytest.approx((6 / 8 + 0) / 2)


def test_nothing_labeled_scores_nothing() -> None:
    void = np.full_like(LABELS, VOID)
    assert set(segmentation_metrics(confusion(PREDICTED, void, 3)).values()) == {0.0}
