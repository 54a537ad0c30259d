"""Torch's global generator, from which layers draw their start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Torch's global generator of the CPU, seeded from `rng` inside the block and restored after it."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(int(rng.integers(2**63)))
        yield
