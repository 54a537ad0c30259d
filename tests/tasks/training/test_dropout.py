"""Dropout on the head's input: what it does, that only the head is repeated, and who trains with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_learners import plan_of
from tiny_tasks import FAST_ON_ONE_KIND
from torch import nn
from torch.nn import functional

from lossbench.config import LossPrediction
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.submissions.conformance import LABELED, same_tensors, weights
from strategies.bald import Bald
from strategies.random import Random
from tasks.base import TapModel, Task
from tasks.training.clock import Clock
from tasks.training.dropout import Dropout
from tasks.training.learner import Learner

CPU = torch.device("cpu")


def test_whole_channels_go_and_the_mean_stays() -> None:
    features = (torch.ones(400, 10), torch.ones(400, 10, 3, 3))
    for found in Dropout.of(0.25, np.random.default_rng(0), CPU)(features):
        flat = found.reshape(400, 10, -1)
        assert (flat == flat[..., :1]).all(), "neighbors in a map go together"
        assert flat.unique().tolist() == pytest.approx([0.0, 4 / 3])
        assert flat.mean() == pytest.approx(1.0, abs=0.03)


def test_masks_follow_from_the_generator_and_differ_from_pass_to_pass() -> None:
    features = (torch.ones(8, 16),)
    one, again = (Dropout.of(0.5, np.random.default_rng(3), CPU) for _ in range(2))
    first, second = one(features)[0], one(features)[0]
    assert not torch.equal(first, second)
    assert torch.equal(again(features)[0], first)


def test_passes_repeat_the_head_alone(
    kind: str, trained: Callable[..., Learner], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, calls = trained(kind), {"trunk": 0, "head": 0}
    handle = learner.model.head.register_forward_hook(lambda *_: calls.__setitem__("head", calls["head"] + 1))
    trunk = learner.model.scaled_trunk

    def counted(images: torch.Tensor) -> object:
        calls["trunk"] += 1
        return trunk(images)

    monkeypatch.setattr(learner.model, "scaled_trunk", counted)
    try:
        (passes,) = learner.dropout_passes(np.arange(20, 30), 4, 0.5, np.random.default_rng(0))
        predictions = [each.log_probs for each in passes]
    finally:
        handle.remove()
    assert (calls["trunk"], calls["head"]) == (1, 1 + 4)
    assert not torch.equal(predictions[0], predictions[1])
    assert not any(each.requires_grad for each in predictions)


def test_at_a_rate_near_zero_every_pass_is_the_prediction(kind: str, trained: Callable[..., Learner]) -> None:
    learner, ids = trained(kind), np.arange(20, 30)
    (passes,) = learner.dropout_passes(ids, 2, 1e-9, np.random.default_rng(0))
    (plain,) = learner.posteriors(ids)
    for each in passes:
        torch.testing.assert_close(each.log_probs, plain.log_probs, rtol=1e-4, atol=1e-4)


@FAST_ON_ONE_KIND
def test_only_the_native_track_trains_with_dropout(task: Task, kind: str, tmp_path: Path) -> None:
    def learned(strategy: Bald | Random, track: str, folder: str) -> dict[str, torch.Tensor]:
        needs = TrainingPlan.of(strategy, LossPrediction(), track)
        fits = ModelCache(tmp_path / folder, task, 0, needs, Clock())
        return weights(fits.learner((LABELED,))[0].model)

    assert same_tensors(learned(Bald(), "shared", "a"), learned(Random(), "shared", "b")), "round 0 stays shared"
    assert not same_tensors(learned(Bald(), "native", "a"), learned(Random(), "native", "a"))
    assert not same_tensors(learned(Bald(), "native", "a"), learned(Bald(rate=0.2), "native", "a"))
    assert same_tensors(learned(Bald(), "native", "a"), learned(Bald(), "native", "b")), "a function of the seed"


@FAST_ON_ONE_KIND
def test_a_model_with_dropout_of_its_own_is_a_function_of_the_seed(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = task.build_model

    def dropping(rate: float) -> TapModel:
        model = build()
        first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        first.register_forward_hook(lambda module, _, maps: functional.dropout(maps, rate, module.training))
        return model

    def learned(rate: float, global_seed: int) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(task, "build_model", lambda: dropping(rate))
        fits = ModelCache(tmp_path / str(global_seed), task, 0, plan_of(Random()), Clock())
        with torch.random.fork_rng():
            torch.manual_seed(global_seed)
            return weights(fits.learner((LABELED,))[0].model)

    assert same_tensors(learned(0.3, 1), learned(0.3, 2))
    assert not same_tensors(learned(0.3, 1), learned(0.0, 3))
