"""Simulated annotation errors of label maps."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool
from scipy.ndimage import distance_transform_edt

from tasks.datasets.masks import VOID, LabelMap

BORDER = 0.2
"""Width of an eroded border, relative to the square root of the segment's area."""
ERRORS = ("other class", "eroded")


def mislabeled(labels: LabelMap, share: float, classes: int, rng: np.random.Generator) -> LabelMap:
    """The label map with an expected share of the segments wrong: half of another class, half with eroded borders.

    A segment is a connected region of one class, as an annotator outlines it with a polygon. Where its border is eroded,
    pixels get the class of the nearest pixel beside the segment; a small segment vanishes. Void pixels stay void.
    """
    noisy = labels.copy()
    for label in np.unique(labels[labels != VOID]):
        count, segments = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=8)
        wrong = rng.random(count - 1) < share
        errors = rng.integers(0, len(ERRORS), count - 1)
        shifts = rng.integers(1, classes, count - 1)
        for number in np.flatnonzero(wrong):
            segment = segments == number + 1
            if ERRORS[errors[number]] == "other class":
                noisy[segment] = (int(label) + int(shifts[number])) % classes
            else:
                _erode(noisy, labels, segment)
    return noisy


def _erode(noisy: LabelMap, labels: LabelMap, segment: Bool[np.ndarray, "s s"]) -> None:
    """Give the border of a segment to the true classes beside it."""
    outside = ~segment & (labels != VOID)
    if not outside.any():
        return
    width = max(1, round(BORDER * float(np.sqrt(segment.sum()))))
    distances = np.asarray(distance_transform_edt(segment))
    border = segment & (distances <= width)
    rows, columns = distance_transform_edt(~outside, return_distances=False, return_indices=True)  # pyright: ignore[reportGeneralTypeIssues]
    noisy[border] = labels[rows[border], columns[border]]
