"""What all tests share: shape checks switched on, and tiny tasks of each kind."""

from __future__ import annotations

import os
import sys

from tiny_tasks import KINDS

from lossbench.config import LossPrediction

os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})  # before torch is imported

from jaxtyping import install_import_hook

if not any("benchmarks" in argument for argument in sys.argv):  # checking shapes takes time
    install_import_hook(["lossnet", "tasks", "strategies"], "beartype.beartype")

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lossbench.running.model_cache import ModelCache, TrainingPlan
from lossbench.running.sweep import prepare
from lossbench.submissions.conformance import LABELED, Trial, tiny_protocol
from strategies import Strategy
from strategies.learning_loss import LearningLoss
from tasks.base import Task
from tasks.kinds import build_task
from tasks.training.clock import Clock
from tasks.training.learner import Learner


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    prepare()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where rendered scenes are kept, for the whole session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of task in turn."""
    return request.param


@pytest.fixture(scope="session")
def tiny_task(cache: Path) -> Callable[[str], Task]:
    """The tiny task of a kind, built once; whoever changes its labels must put them back."""
    built: dict[str, Task] = {}

    def of(kind: str) -> Task:
        if kind not in built:
            built[kind] = build_task(tiny_protocol(kind).task, cache, cache, torch.device("cpu"))
        return built[kind]

    return of


@pytest.fixture(scope="session")
def task(kind: str, tiny_task: Callable[[str], Task]) -> Task:
    """Each tiny task in turn."""
    return tiny_task(kind)


@pytest.fixture(scope="session")
def trained(tiny_task: Callable[[str], Task], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Learner]:
    """A learner of a tiny task, trained for a moment with what a strategy needs in the shared track."""
    folder = tmp_path_factory.mktemp("models")

    def of(kind: str, strategy: Strategy | None = None, member: int = 0) -> Learner:
        task = tiny_task(kind)
        needs = TrainingPlan.of(strategy or LearningLoss(), LossPrediction(), "shared")
        fits = ModelCache(folder, task, 0, needs, Clock())
        return fits.learner((LABELED,), member)[0]

    return of


@pytest.fixture(scope="session")
def trials(tiny_task: Callable[[str], Task], trained: Callable[..., Learner]) -> Callable[[str, Strategy], Trial]:
    """A trial per task and set of needs, trained once; the strategy is put in."""
    kept: dict[tuple[str, str, int], tuple[Learner, ...]] = {}

    def of(kind: str, strategy: Strategy) -> Trial:
        task = tiny_task(kind)
        key = (kind, repr(TrainingPlan.of(strategy, LossPrediction(), "shared")), strategy.committee_size)
        if key not in kept:
            kept[key] = tuple(trained(kind, strategy, member) for member in range(strategy.committee_size))
        return Trial(task, strategy, kept[key])

    return of
