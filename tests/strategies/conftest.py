"""Contexts on the tiny tasks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_contexts import CANDIDATES, LABELED, MakeContext
from torch import Tensor
from torch.nn import functional

from strategies import Context
from strategies.badge import Badge
from tasks.training.learner import Learner


@pytest.fixture(scope="session")
def context(trained: Callable[..., Learner]) -> MakeContext:
    """A context on a tiny task; the labeled images are of three of four groups."""
    learners: dict[str, Learner] = {}

    def of(kind: str = "classification", budget: int = 5) -> Context:
        def groups() -> Tensor:
            return functional.one_hot(torch.arange(len(LABELED)) % 3, 4).bool()

        if kind not in learners:
            learners[kind] = trained(kind, Badge())
        return Context(budget, LABELED, CANDIDATES, (learners[kind],), np.random.default_rng(0), groups)

    return of
