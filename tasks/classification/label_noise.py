"""Simulated annotation errors of classes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def mislabeled(
    labels: Int[np.ndarray, " n"], share: float, classes: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """The labels with an expected share replaced by another class; all other classes are equally likely."""
    wrong = rng.random(len(labels)) < share
    shifts = rng.integers(1, classes, len(labels))
    return np.where(wrong, (labels + shifts) % classes, labels)
