"""Contexts on the tiny tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # this file is read by the process that only hands out tests, too
    from torch import Tensor

    from strategies import Context
    from tasks.training.learner import Learner


@pytest.fixture(scope="session")
def context(trained: Callable[..., Learner]) -> Callable[..., Context]:
    """A context on a tiny task; the labeled images are of three of four groups."""
    import numpy as np
    import torch
    from tiny_contexts import CANDIDATES, LABELED
    from torch.nn import functional

    from strategies import Context
    from strategies.badge import Badge

    learners: dict[str, Learner] = {}

    def of(kind: str = "classification", budget: int = 5) -> Context:
        def groups() -> Tensor:
            return functional.one_hot(torch.arange(len(LABELED)) % 3, 4).bool()

        if kind not in learners:
            learners[kind] = trained(kind, Badge())
        return Context(budget, LABELED, CANDIDATES, (learners[kind],), np.random.default_rng(0), groups)

    return of
