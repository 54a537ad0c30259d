"""Torch's global generators, from which layers draw their start, and some what they drop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Torch's global generators, those of the CPU and of GPUs in use, seeded from `rng` inside the block and restored after it."""
    used = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=used):
        torch.manual_seed(int(rng.integers(2**63)))
        yield
