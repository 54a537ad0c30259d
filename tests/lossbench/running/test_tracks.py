"""What training depends on: the track, a warm start, and the precision."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from raw_outputs import SOME, parts
from tiny_tasks import FAST_ON_ONE_KIND, with_recipe

from lossbench.config import LossPrediction
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.running.loop import Run
from lossbench.submissions.conformance import LABELED, same_tensors, tiny_protocol, weights
from strategies import STRATEGIES, Strategy
from strategies.entropy import Entropy
from strategies.learning_loss import LearningLoss, LearningLossMSE
from strategies.random import Random
from tasks.base import Ids, Task
from tasks.training.clock import Clock
from tasks.training.learner import Learner


def fit(
    task: Task,
    kind: str,
    strategy: Strategy,
    track: str,
    folder: Path,
    rounds: tuple[Ids, ...] = (LABELED,),
    **recipe: Any,
) -> Learner:
    """A learner of a task under a changed recipe."""
    changed = copy.copy(task)
    changed.settings = with_recipe(task.settings, {"epochs": 2} | recipe)
    return ModelCache(folder, changed, 0, TrainingPlan.of(strategy, LossPrediction(), track), Clock()).learner(rounds)[
        0
    ]


@FAST_ON_ONE_KIND
def test_in_the_shared_track_the_model_feels_no_strategy(task: Task, kind: str, tmp_path: Path) -> None:
    """What is trained follows from the plan, and the plans of most strategies are equal: one of each is trained."""
    of_plan = {repr(TrainingPlan.of(each.smoke(), LossPrediction(), "shared")): each for each in STRATEGIES}
    learners = {each.name: fit(task, kind, each.smoke(), "shared", tmp_path / each.name) for each in of_plan.values()}
    assert sum(learner.auxiliary is None for learner in learners.values()) == 1
    assert learners["learning-loss-mse"].auxiliary is not None
    plain = next(learner for learner in learners.values() if learner.auxiliary is None)
    for name, learner in learners.items():
        assert same_tensors(weights(learner.model), weights(plain.model)), name
        assert same_tensors(weights(learner.lossnet), weights(plain.lossnet)), name


@FAST_ON_ONE_KIND
def test_in_the_native_track_the_model_feels_what_is_declared(task: Task, kind: str, tmp_path: Path) -> None:
    random, ours, ablation = (
        fit(task, kind, strategy, "native", tmp_path, loss_weight=1.0)
        for strategy in (Random(), LearningLoss(), LearningLossMSE())
    )
    assert (random.lossnet, random.auxiliary, ours.auxiliary, ablation.lossnet) == (None, None, None, None)
    models = [weights(each.model) for each in (random, ours, ablation)]
    assert not same_tensors(models[0], models[1])
    assert not same_tensors(models[0], models[2])
    assert not same_tensors(models[1], models[2])


@FAST_ON_ONE_KIND
def test_a_warm_start_begins_where_the_round_before_ended(task: Task, kind: str, tmp_path: Path) -> None:
    rounds = (LABELED, np.arange(18))
    cold, warm, again = (
        weights(fit(task, kind, Random(), "shared", tmp_path / str(number), rounds, warm_start=start).model)
        for number, start in enumerate((False, True, True))
    )
    assert not same_tensors(cold, warm)
    assert same_tensors(warm, again)
    elsewhere = (np.arange(1, 13), np.arange(18))
    other = fit(task, kind, Random(), "shared", tmp_path / "1", elsewhere, warm_start=True)
    assert not same_tensors(warm, weights(other.model)), "the round before decides the weights, and the key"


@FAST_ON_ONE_KIND
def test_half_precision_runs_and_answers_in_full(task: Task, kind: str, tmp_path: Path) -> None:
    changed = copy.copy(task)
    changed.settings = with_recipe(task.settings, {"precision": "bf16"})
    protocol = tiny_protocol(kind, precision="bf16")
    first = next(Run(changed, protocol, Entropy(), 0, "shared", "test", tmp_path).rounds())
    assert (first.labeled, len(first.picked)) == (12, 6)
    half = fit(task, kind, Random(), "shared", tmp_path, precision="bf16", epochs=1)
    full = fit(task, kind, Random(), "shared", tmp_path, epochs=1)
    ((_, outputs),) = half.batches(SOME)
    assert {each.dtype for each in (*outputs.taps, *outputs.features, *parts(outputs.raw))} == {torch.float32}
    assert not same_tensors(weights(half.model), weights(full.model))
    assert {value.dtype for value in half.model.parameters()} == {torch.float32}
