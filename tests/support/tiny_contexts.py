"""What the tests of strategies on tiny tasks share: who is labeled, who is a candidate, and clouds of points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from strategies import Context

LABELED, CANDIDATES = np.arange(12), np.arange(15, 60, 2)
MakeContext = Callable[..., Context]
"""The fixture `context` of the strategies' tests."""


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@st.composite
def clustered(draw: st.DrawFn) -> tuple[Tensor, Tensor, int, int]:
    """Points with whole coordinates, many of them equal, their clusters, how many are labeled, and a budget."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, spread = draw(st.integers(1, 40)), draw(st.sampled_from([0, 2, 50]))
    points = rng.integers(-spread, spread, (count, 2), endpoint=True).astype(np.float64)
    member = rng.integers(0, draw(st.integers(1, 8)), count)
    return torch.tensor(points), torch.tensor(member), draw(st.integers(0, count - 1)), draw(st.integers(1, 45))
