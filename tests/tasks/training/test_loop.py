"""The training loop: what is not finite stops it, and batches of any size are trained on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_tasks import FAST_ON_ONE_KIND, with_recipe

from lossbench.config import LossPrediction
from lossbench.running.evaluation import true_losses
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossnet import RankingObjective
from strategies.learning_loss import LearningLossMSE
from tasks.base import Task
from tasks.settings import Recipe
from tasks.training.clock import Clock
from tasks.training.loop import TrainingError, fit
from tasks.training.step import Attachment, Streams


def small_recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({"epochs": 3, "batch": 5, "optimizer": "adamw", "learning_rate": 1e-3} | changes)


def streams() -> Streams:
    return Streams(np.random.default_rng(0), np.random.default_rng(1))


def test_training_names_the_first_step_that_is_not_finite(classification: Task) -> None:
    task, calls = copy.copy(classification), []

    def augmented(ids: np.ndarray, rng: np.random.Generator) -> Any:
        calls.append(len(ids))
        images, targets = classification.augmented(ids, rng)
        return images * (torch.nan if len(calls) == 5 else 1), targets

    task.augmented, task.settings = augmented, task.settings.model_copy(update={"recipe": small_recipe()})
    with pytest.raises(TrainingError, match=r"^the training loss is not finite at step 4 of 9$"):
        fit(task, task.build_model(), np.arange(11), [], streams())
    assert calls == [4, 4, 3, 4, 4, 3], "batches of nearly equal size; it stops with the epoch"


def test_taps_that_are_not_finite_stop_the_training(classification: Task) -> None:
    task = copy.copy(classification)
    task.settings = task.settings.model_copy(update={"recipe": small_recipe()})
    model = task.build_model()
    trunk = model.trunk

    def spoiled(images: torch.Tensor) -> Any:
        taps, features = trunk(images)
        return (*taps[:-1], taps[-1] * torch.inf), features

    objective = RankingObjective()
    module = objective.build(trunk(task.unlabeled.images(np.arange(2)))[0])
    model.trunk = spoiled
    fit(task, model, np.arange(11), [], streams())
    with pytest.raises(TrainingError, match="not finite at step 0 of 9"):
        fit(task, model, np.arange(11), [Attachment(objective, module, detached=True)], streams())


def test_no_image_is_alone_in_its_batch() -> None:
    for batch in (2, 3, 4, 7):
        recipe = Recipe(epochs=1, batch=batch, optimizer="sgd", learning_rate=0.1)
        sizes = [len(ids) for n in range(2, 60) for ids in np.array_split(np.arange(n), recipe.batches(n))]
        assert min(sizes) >= 2
        assert max(sizes) == max(batch, 3)
    assert recipe.batches(1) == 1


@FAST_ON_ONE_KIND
def test_an_odd_number_of_images_and_a_single_one_are_trained_on(kind: str, task: Task, tmp_path: Path) -> None:
    for count in (1, 2, 3, 17):
        changed = copy.copy(task)
        changed.settings = with_recipe(task.settings, {"batch": 2})
        needs = TrainingPlan.of(LearningLossMSE(), LossPrediction(), "shared")
        fits = ModelCache(tmp_path, changed, 0, needs, Clock())
        learner, _ = fits.learner((np.arange(count),))
        assert torch.isfinite(true_losses(task, learner, np.arange(count))).all()
