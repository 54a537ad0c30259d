"""A seeded generator of numpy."""

from __future__ import annotations

import numpy as np


def rng(seed: int = 0) -> np.random.Generator:
    """A new one; equal seeds draw alike."""
    return np.random.default_rng(seed)
