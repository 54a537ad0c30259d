"""Runs of the tiny classification task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # this file is read by the process that only hands out tests, too
    import numpy as np

    from lossbench.running.loop import Run
    from strategies import Strategy
    from tasks.base import Task


@pytest.fixture
def run(classification: Task, tmp_path: Path) -> Callable[..., Run]:
    """A run of the tiny classification task; its weights lie in a folder of this test."""
    from lossbench.running.loop import Run
    from lossbench.submissions.conformance import tiny_protocol
    from strategies.random import Random

    def of(
        strategy: Strategy | None = None, seed: int = 0, folder: str = "models", track: str = "shared", **changes: Any
    ) -> Run:
        protocol = changes.pop("protocol", tiny_protocol("classification"))
        task, split = changes.pop("task", classification), changes.pop("split", "test")
        return Run(task, protocol, strategy or Random(), seed, track, split, tmp_path / folder)

    return of


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many images each training had, as they happen."""
    import lossbench.running.kept.models
    from tasks.training.loop import fit

    counted: list[int] = []

    def counting(task: Task, model: Any, labeled: np.ndarray, *rest: Any) -> None:
        counted.append(len(labeled))
        fit(task, model, labeled, *rest)

    monkeypatch.setattr(lossbench.running.kept.models, "fit", counting)
    return counted
