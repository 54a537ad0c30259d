"""Classifiers of timm and torchvision, frozen trunks and a user's own module keep the contracts of tasks and strategies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from strategy_contracts import MakeTrial, StrategyContracts, fast_among, trials
from tiny_models import MODELS, built_with

from strategies.random import Random
from tasks.base import Task

SOME = np.array([3, 40, 7, 66, 12, 59, 0])


@pytest.fixture(scope="session", params=fast_among(MODELS, "timm ResNet", "frozen, hidden layer", "own"))
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("timm")
    return request.param


@pytest.fixture(scope="session")
def task(name: str, cache: Path) -> Task:
    return built_with(MODELS[name], cache)


@pytest.fixture(scope="session")
def make_trial(task: Task, shared: Path) -> MakeTrial:
    return trials(task, shared / "models")


class TestContracts(StrategyContracts):
    """On each of these models."""


def test_head_and_taps_are_those_of_the_contract(make_trial: MakeTrial) -> None:
    ((trained,),) = (make_trial(Random()).committee,)
    ((_, outputs),) = trained.batches(SOME)
    with torch.no_grad():
        torch.testing.assert_close(trained.model.head(*outputs.features), outputs.raw)
    assert outputs.taps
    assert all(tap.ndim == 4 and len(tap) == len(SOME) for tap in outputs.taps)
    assert outputs.raw.shape == (len(SOME), 8)
    assert trained.lossnet is not None


def test_training_changes_what_is_not_frozen(task: Task, name: str, make_trial: MakeTrial) -> None:
    torch.manual_seed(0)
    before = task.build_model().state_dict()
    after = make_trial(Random()).committee[0].model.state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    if "frozen" in name:
        assert not [key for key in before if key.startswith("backbone")], "the frozen trunk is not a part of the model"
