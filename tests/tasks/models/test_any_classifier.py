"""Classifiers of timm and torchvision, frozen trunks and a user's own module keep the contracts of tasks and strategies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_learners import learner, plan_of
from tiny_models import MODELS, built_with

from lossbench.submissions.conformance import CHECKS, Check, Trial
from strategies import STRATEGIES, Strategy
from strategies.badge import Badge
from strategies.deepfool import DeepFool
from strategies.learning_loss import LearningLoss
from strategies.random import Random
from tasks.base import Task
from tasks.training.learner import Learner

SOME = np.array([3, 40, 7, 66, 12, 59, 0])
QUICK = (Random, LearningLoss, Badge, DeepFool)  # reads nothing, taps, gradients of the head, gradients in inputs


QUICK_MODELS = ("timm ResNet", "frozen, hidden layer", "own")


@pytest.fixture(
    scope="session",
    params=[pytest.param(name, marks=() if name in QUICK_MODELS else pytest.mark.slow) for name in MODELS],
)
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("timm")
    return request.param


@pytest.fixture(scope="session")
def task(name: str, cache: Path) -> Task:
    return built_with(MODELS[name], cache)


@pytest.fixture(scope="session")
def make_trial(task: Task, shared: Path) -> Callable[[Strategy], Trial]:
    kept: dict[tuple[str, int], tuple[Learner, ...]] = {}

    def of(strategy: Strategy) -> Trial:
        key = (repr(plan_of(strategy)), strategy.committee_size)
        if key not in kept:
            members = range(strategy.committee_size)
            kept[key] = tuple(learner(task, shared / "models", strategy, member=member) for member in members)
        return Trial(task, strategy, kept[key])

    return of


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("strategy", QUICK, ids=lambda strategy: strategy.name)
def test_strategies_keep_the_contract(
    strategy: type[Strategy], check: Check, make_trial: Callable[[Strategy], Trial]
) -> None:
    check(make_trial(strategy.smoke()))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [each for each in STRATEGIES if each not in QUICK], ids=lambda each: each.name)
def test_every_other_strategy_keeps_the_contract(
    strategy: type[Strategy], make_trial: Callable[[Strategy], Trial]
) -> None:
    for check in CHECKS:
        check(make_trial(strategy.smoke()))


def test_head_and_taps_are_those_of_the_contract(make_trial: Callable[[Strategy], Trial]) -> None:
    ((trained,),) = (make_trial(Random()).committee,)
    ((_, outputs),) = trained.batches(SOME)
    with torch.no_grad():
        torch.testing.assert_close(trained.model.head(*outputs.features), outputs.raw)
    assert outputs.taps
    assert all(tap.ndim == 4 and len(tap) == len(SOME) for tap in outputs.taps)
    assert outputs.raw.shape == (len(SOME), 8)
    assert trained.lossnet is not None


def test_training_changes_what_is_not_frozen(task: Task, name: str, make_trial: Callable[[Strategy], Trial]) -> None:
    torch.manual_seed(0)
    before = task.build_model().state_dict()
    after = make_trial(Random()).committee[0].model.state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    if name.startswith("frozen"):
        assert not [key for key in before if key.startswith("backbone")], "the frozen trunk is not a part of the model"
