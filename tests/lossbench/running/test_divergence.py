"""Training that diverges stops the run, and nothing of it is kept."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_tasks import with_recipe

from lossbench.running.loop import Run
from lossbench.running.pool import Pool
from lossbench.submissions.conformance import tiny_protocol
from strategies.entropy import Entropy
from strategies.random import Random
from tasks.base import Task
from tasks.training.loop import TrainingError


def test_a_recipe_that_diverges_stops_the_run(classification: Task, run: Callable[..., Run], tmp_path: Path) -> None:
    update = {"optimizer": "sgd", "learning_rate": 1e30, "epochs": 4}
    task = copy.copy(classification)
    task.settings = with_recipe(task.settings, update)
    protocol = tiny_protocol("classification", **update)
    with pytest.raises(TrainingError) as caught:
        next(run(Random(), seed=7, task=task, protocol=protocol).rounds())
    assert str(caught.value) == (
        "tiny-classification, random, seed 7, round 0: the training loss is not finite at step 1 of 4"
    )
    assert not list((tmp_path / "models").glob("*.safetensors")), "weights that are not finite are not kept"


def test_a_loss_that_is_not_finite_stops_a_later_round(classification: Task, run: Callable[..., Run]) -> None:
    task = copy.copy(classification)
    first = Pool.of(task, tiny_protocol("classification")).initial(0, 12)

    def augmented(ids: np.ndarray, rng: np.random.Generator) -> Any:
        images, targets = classification.augmented(ids, rng)
        images[torch.from_numpy(~np.isin(ids, first))] = torch.nan
        return images, targets

    task.augmented = augmented
    rounds = run(Entropy(), task=task).rounds()
    assert next(rounds).labeled == 12
    message = r"^tiny-classification, entropy, seed 0, round 1: the training loss is not finite at step [01] of 2$"
    with pytest.raises(TrainingError, match=message):
        next(rounds)


def test_weights_that_the_last_step_spoiled_stop_the_run(kind: str, task: Task, tmp_path: Path) -> None:
    update = {"optimizer": "sgd", "learning_rate": 1e37}  # one step: its loss is finite, what it leaves is not
    changed = copy.copy(task)
    changed.settings = with_recipe(task.settings, update)
    protocol = tiny_protocol(kind, **update)
    rounds = Run(changed, protocol, Random(), 3, "shared", "test", tmp_path).rounds()
    with pytest.raises(TrainingError, match=rf"^tiny-{kind}, random, seed 3, round 0: .*not finite"):
        next(rounds)
