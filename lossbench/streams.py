"""One random stream per purpose, so that strategies under one seed are paired."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """The generator of a purpose under a seed: equal words, equal stream; other words, an independent one."""
    words = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return np.random.default_rng(np.frombuffer(words, dtype=np.uint32))


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Torch's global generator of the CPU, seeded from `rng` inside the block and restored after it."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(int(rng.integers(2**63)))
        yield
