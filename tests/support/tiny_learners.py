"""Tiny tasks, and models that are trained on them for a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lossbench.config import LossPrediction
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.submissions.conformance import LABELED, tiny_protocol
from strategies import Strategy
from strategies.learning_loss import LearningLoss
from tasks.base import Task
from tasks.kinds import build_task
from tasks.training.clock import Clock
from tasks.training.learner import Learner

MakeTask = Callable[[str], Task[Any, Any]]
"""The fixture `tiny_task`."""
MakeLearner = Callable[..., Learner]
"""The fixture `trained`."""


def built(kind: str, cache: Path, device: torch.device | None = None) -> Task[Any, Any]:
    """The tiny task of a kind; its scenes lie in the cache."""
    return build_task(tiny_protocol(kind).task, cache, cache, device or torch.device("cpu"))


def plan_of(strategy: Strategy | None = None) -> TrainingPlan:
    """What is trained for a strategy in the shared track; for learning loss, where none is given."""
    return TrainingPlan.of(strategy or LearningLoss(), LossPrediction(), "shared")


def learner(
    task: Task[Any, Any], models: Path, strategy: Strategy | None = None, seed: int = 0, member: int = 0
) -> Learner:
    """A model trained on the images that the contract's checks hold for labeled; it is read from its file if it is there."""
    return ModelCache(models, task, seed, plan_of(strategy), Clock()).learner((LABELED,), member)[0]
