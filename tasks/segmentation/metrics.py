"""Mean intersection over union, and shares of right pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, UInt8

from tasks.datasets.masks import VOID


def confusion(
    predicted: UInt8[np.ndarray, "n s s"], labels: UInt8[np.ndarray, "n s s"], classes: int
) -> Int[np.ndarray, "k k"]:
    """How many labeled pixels of each class (first axis) are predicted as each class."""
    labeled = labels != VOID
    pairs = labels[labeled].astype(np.int64) * classes + predicted[labeled]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def segmentation_metrics(counts: Int[np.ndarray, "k k"]) -> dict[str, float]:
    """`mIoU`, `pixel_accuracy` and `class_accuracy`, from the confusion of all evaluated images together.

    `mIoU` is the mean, over the classes that are labeled or predicted anywhere, of the pixels that are both over those that
    are either (Everingham et al. 2015, section 3.2). `class_accuracy` is the mean share of right pixels over the labeled
    classes.
    """
    right, labeled, predicted = np.diagonal(counts), counts.sum(1), counts.sum(0)
    union = labeled + predicted - right
    return {
        "mIoU": _mean(right, union),
        "pixel_accuracy": _mean(right.sum(keepdims=True), counts.sum(keepdims=True).reshape(1)),
        "class_accuracy": _mean(right, labeled),
    }


def _mean(part: np.ndarray, whole: np.ndarray) -> float:
    """The mean quotient where the whole is not 0; 0 where it is 0 everywhere."""
    there = whole > 0
    return float((part[there] / whole[there]).mean()) if there.any() else 0.0
