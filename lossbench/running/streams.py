"""Random generators by seed and purpose, so that all strategies share initial labels, candidates and weights under a seed."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A new generator. Equal arguments give equal random numbers, different ones give independent random numbers.

    Args:
        seed: of the run.
        *purpose: what the numbers are for, such as `"select", 3` for the selection of round 3.
    """
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
