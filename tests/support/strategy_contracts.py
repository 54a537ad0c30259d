"""What every strategy keeps on every model: the contract's checks as tests that a test module inherits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tiny_learners import learner, plan_of

from lossbench.submissions.conformance import CHECKS, Check, Trial
from strategies import STRATEGIES, Strategy
from strategies.badge import Badge
from strategies.deepfool import DeepFool
from strategies.learning_loss import LearningLoss
from strategies.random import Random
from tasks.base import Task
from tasks.training.learner import Learner

QUICK = (Random, LearningLoss, Badge, DeepFool)
"""What the fast tests try: reads nothing, taps, gradients of the head, gradients in inputs."""
OTHERS = tuple(each for each in STRATEGIES if each not in QUICK)

MakeTrial = Callable[[Strategy], Trial]


def fast_among(models: Iterable[str], *fast: str) -> list[Any]:
    """The names of models as parameters of a fixture; all but some of them belong to the exhaustive tests."""
    return [
        pytest.param(name, marks=() if name in fast else (pytest.mark.slow, pytest.mark.exhaustive)) for name in models
    ]


def trials(task: Task, models: Path) -> MakeTrial:
    """Gives a trial of any strategy on the task; models are trained once for all strategies of one plan.

    Args:
        task: any.
        models: folder in which trained models are kept.
    """
    kept: dict[tuple[str, int], tuple[Learner, ...]] = {}

    def trial(strategy: Strategy) -> Trial:
        key = (repr(plan_of(strategy)), strategy.committee_size)
        if key not in kept:
            members = range(strategy.committee_size)
            kept[key] = tuple(learner(task, models, strategy, member=member) for member in members)
        return Trial(task, strategy, kept[key])

    return trial


class StrategyContracts:
    """Tests to inherit in a module with a fixture `make_trial`, as `trials` gives it."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    @pytest.mark.parametrize("strategy", QUICK, ids=lambda strategy: strategy.name)
    def test_strategies_keep_the_contract(self, strategy: type[Strategy], check: Check, make_trial: MakeTrial) -> None:
        check(make_trial(strategy.smoke()))

    @pytest.mark.slow
    @pytest.mark.exhaustive
    @pytest.mark.parametrize("strategy", OTHERS, ids=lambda strategy: strategy.name)
    def test_every_other_strategy_keeps_the_contract(self, strategy: type[Strategy], make_trial: MakeTrial) -> None:
        for check in CHECKS:
            check(make_trial(strategy.smoke()))
