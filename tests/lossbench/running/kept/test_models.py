"""Trained models that are kept: what is trained once, what a key depends on, and which metrics are kept."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timeless_rounds import timeless
from tiny_learners import MakeTask
from tiny_tasks import with_recipe

import lossbench.running.kept.metrics
from leaderboard.schema.records import Round
from lossbench.config import LossPrediction
from lossbench.running.evaluation import evaluate
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.running.loop import Run
from lossbench.submissions.conformance import tiny_protocol
from strategies import Strategy, load_strategy
from strategies.core_set import CoreSet
from strategies.entropy import Entropy
from strategies.learning_loss import LearningLoss, LearningLossMSE
from strategies.random import Random
from tasks.base import Task
from tasks.images.pixels import Pixels
from tasks.settings import Stress
from tasks.training.clock import Clock


def test_round_0_is_trained_once_for_all_that_train_alike(run: Callable[..., Run], trainings: list[int]) -> None:
    alike = [next(run(each()).rounds()) for each in (Random, Entropy, CoreSet, LearningLoss)]
    assert trainings == [12]
    assert len({str(each.metrics) for each in alike}) == 1
    assert len({each.seconds.fit for each in alike}) == 1, "who loads a model is charged for its training"
    assert alike[0].seconds.fit > 0
    next(run(LearningLossMSE()).rounds())
    assert trainings == [12, 12]
    next(run(Random(), seed=1).rounds())
    assert trainings == [12, 12, 12]
    list(run(Random()).rounds())
    assert trainings == [12, 12, 12, 18, 24]


def test_a_fits_key_changes_with_all_that_decides_the_weights(classification: Task, tmp_path: Path) -> None:
    def key(
        seed: int = 0,
        strategy: Strategy | None = None,
        track: str = "shared",
        member: int = 0,
        ids: tuple[int, int] = (3, 1),
        predicted: dict[str, Any] | None = None,
        noise: float = 0.0,
        **recipe: Any,
    ) -> str:
        task = copy.copy(classification)
        task.settings, task.stress = with_recipe(task.settings, recipe), Stress(label_noise=noise)
        needs = TrainingPlan.of(strategy or Random(), LossPrediction.model_validate(predicted or {}), track)
        return ModelCache(tmp_path, task, seed, needs, Clock()).key((np.array(ids),), member)

    mse = LearningLossMSE()
    changed = [
        key(seed=1), key(strategy=mse), key(track="native"), key(track="native", strategy=mse), key(member=1),
        key(ids=(3, 2)), key(epochs=2), key(precision="bf16"), key(predicted={"weight": 0.5}), key(warm_start=True),
        key(track="native", strategy=mse, predicted={"detach_after": 0.5}), key(predicted={"taps": (0,)}), key(noise=0.1),
    ]  # fmt: skip
    assert len({key(), *changed}) == 1 + len(changed)
    assert key() == key(ids=(1, 3)) == key(strategy=LearningLoss())
    assert key(track="native", strategy=LearningLoss()) != key(track="native")


def test_other_pixels_under_the_same_name_are_another_fit(classification: Task, tmp_path: Path) -> None:
    needs = TrainingPlan.of(Random(), LossPrediction(), "shared")

    def names(task: Task) -> tuple[str, str]:
        fits = ModelCache(tmp_path, task, 0, needs, Clock())
        fits.metrics((np.array([3, 1]),), np.array([5, 6]), lambda ids: {"images": float(len(ids))})
        (metrics,) = tmp_path.glob("*.json")
        metrics.unlink()
        return fits.key((np.array([3, 1]),), 0), metrics.name.partition("-")[2]

    def repainted(image: int) -> Task:
        task = copy.copy(classification)
        stored = classification.unlabeled._pixels._stored.clone()
        stored[image, 0, 0, 0] ^= 1
        pixels = Pixels(stored, classification.unlabeled.size)
        task.unlabeled = copy.copy(classification.unlabeled)
        task.unlabeled._pixels = pixels
        return task

    model, metrics = names(classification)
    assert names(repainted(0)) == (model, metrics), "neither trained on nor measured on"
    assert names(repainted(3))[0] != model
    assert names(repainted(6)) == (model, names(repainted(6))[1]) != (model, metrics)


OUTSIDE = """
from lossnet import RegressionObjective
from strategies import Selection, Strategy

class Mine(Strategy):
    name = "mine"
    paper = kind = reads = cost = ""
    def auxiliary(self, objective): return Other()
    def select(self, ctx): return Selection(ctx.candidates[: ctx.budget])

class Other(RegressionObjective):
    def compare(self, predicted, losses): return (predicted - losses).abs().mean() * FACTOR
"""


def test_other_code_of_an_outside_strategy_is_another_fit(classification: Task, tmp_path: Path) -> None:
    keys = set()
    for folder, factor in (("a", 1), ("b", 2), ("c", 1)):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "mine.py"
        file.write_text(OUTSIDE.replace("FACTOR", str(factor)))
        needs = TrainingPlan.of(load_strategy(str(file)), LossPrediction(), "native")
        fits = ModelCache(tmp_path, classification, 0, needs, Clock())
        keys.add(fits.key((np.arange(2),), 0))
    assert len(keys) == 2, "the code counts, and where it lies does not"


def test_the_order_of_labeling_decides_nothing(classification: Task, tmp_path: Path) -> None:
    ids = np.random.default_rng(0).permutation(12)
    fitted = []
    for folder, labeled in (("sorted", np.arange(12)), ("shuffled", ids)):
        needs = TrainingPlan.of(Random(), LossPrediction(), "shared")
        learner, _ = ModelCache(tmp_path / folder, classification, 0, needs, Clock()).learner((labeled,))
        fitted.append(learner.model.state_dict())
    assert all(torch.equal(fitted[0][name], fitted[1][name]) for name in fitted[0])


def test_weights_that_are_deleted_are_trained_again(
    run: Callable[..., Run], trainings: list[int], tmp_path: Path
) -> None:
    whole = list(run().rounds())
    for file in (tmp_path / "models").iterdir():
        file.unlink()
    assert timeless(list(run().rounds())) == timeless(whole)
    assert trainings == [12, 18, 24] * 2
    assert not list((tmp_path / "models").glob("*.part"))


@pytest.mark.parametrize("kind", ["classification", "detection"])
def test_metrics_that_were_kept_are_those_of_a_fresh_evaluation(
    kind: str, tiny_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluations = []

    def counted(*words: Any) -> dict[str, float]:
        evaluations.append(evaluate(*words))
        return evaluations[-1]

    monkeypatch.setattr("lossbench.running.loop.evaluate", counted)
    task, protocol = tiny_task(kind), tiny_protocol(kind)

    def first_round(strategy: Strategy, split: str = "test") -> Round:
        return next(Run(task, protocol, strategy, 0, "shared", split, tmp_path).rounds())

    measured, kept = first_round(Random()), first_round(LearningLoss())
    assert kept.metrics == measured.metrics == evaluations[0]
    assert kept.seconds.evaluate == measured.seconds.evaluate > 0
    assert len(evaluations) == 1, "strategies that train the same share the first round's metrics"
    assert first_round(LearningLossMSE()).metrics.keys() > kept.metrics.keys()
    assert first_round(Random(), "validation").metrics == evaluations[2] != kept.metrics
    monkeypatch.setattr(lossbench.running.kept.metrics, "METRICS_VERSION", 3)
    assert first_round(Random()).metrics == kept.metrics
    assert len(evaluations) == 4, "metrics of another version are measured again"
