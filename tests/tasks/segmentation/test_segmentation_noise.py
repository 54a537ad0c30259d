"""Wrong segments: of another class, or with eroded borders."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.datasets.masks import VOID
from tasks.segmentation import label_noise
from tasks.segmentation.label_noise import mislabeled

SIDE, CLASSES = 40, 5


def squares() -> np.ndarray:
    """Nine squares of class 1 and 2 on class 0, and a void border on the left."""
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for number, (row, column) in enumerate((row, column) for row in (2, 14, 26) for column in (4, 16, 28)):
        labels[row : row + 10, column : column + 10] = 1 + number % 2
    labels[:, 0] = VOID
    return labels


def test_without_errors_the_labels_stay() -> None:
    labels = squares()
    assert np.array_equal(mislabeled(labels, 0.0, CLASSES, np.random.default_rng(0)), labels)


def test_a_segment_of_another_class_is_wholly_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_noise, "ERRORS", ("other class",))
    labels, segments = squares(), 0
    for seed in range(20):
        noisy = mislabeled(labels, 0.5, CLASSES, np.random.default_rng(seed))
        assert noisy.max(where=labels != VOID, initial=0) < CLASSES
        assert (noisy[labels == VOID] == VOID).all()
        for row in (2, 14, 26):
            for column in (4, 16, 28):
                found = np.unique(noisy[row : row + 10, column : column + 10])
                assert len(found) == 1
                segments += int(found[0] != labels[row, column])
    assert segments == pytest.approx(90, abs=20)  # half of 9 x 20


def test_an_eroded_segment_loses_its_border_to_what_surrounds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_noise, "ERRORS", ("eroded",))
    labels = squares()
    labels[labels == 1] = 2
    noisy = mislabeled(labels, 0.999, CLASSES, np.random.default_rng(0))
    inner = noisy[2:12, 4:14]
    wanted = np.zeros((10, 10), int)
    wanted[2:8, 2:8] = 2  # a fifth of the root of the area is two pixels
    assert np.array_equal(inner, wanted)
    assert (noisy[labels == VOID] == VOID).all()


def test_a_speck_vanishes_and_an_image_of_one_segment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_noise, "ERRORS", ("eroded",))
    labels = np.zeros((9, 9), np.uint8)
    assert np.array_equal(mislabeled(labels, 0.999, CLASSES, np.random.default_rng(0)), labels)
    labels[4, 4] = 3
    labels[0] = VOID
    noisy = mislabeled(labels, 0.999, CLASSES, np.random.default_rng(1))
    assert noisy[4, 4] == 0


def test_the_noise_follows_from_the_generator_and_leaves_the_labels_alone() -> None:
    labels = squares()
    kept = labels.copy()
    one, again, other = (mislabeled(labels, 0.5, CLASSES, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(labels, kept)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
