"""One random stream per purpose, so that strategies under one seed are paired."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """The generator of a purpose under a seed: equal words, equal stream; other words, an independent one."""
    words = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return np.random.default_rng(np.frombuffer(words, dtype=np.uint32))
