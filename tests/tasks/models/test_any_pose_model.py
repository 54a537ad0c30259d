"""Heatmaps on a library's trunk, frozen or not, and a model of mmpose keep the contracts of tasks and strategies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from strategy_contracts import MakeTrial, StrategyContracts, fast_among, trials
from tiny_models import POSE_MODELS, built_with

from strategies.random import Random
from tasks.datasets.names import MPII_MIRRORED
from tasks.models import trust
from tasks.pose.task import PoseTask

SOME = np.array([3, 40, 7, 66, 12, 59, 0])
SIDES = {"frozen": 8, "timm ViT": 8, "HRNet": 8, "own": 8, "own, frozen": 8}
"""Of the heatmaps."""


@pytest.fixture(scope="session", params=fast_among(POSE_MODELS, "frozen", "own"))
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("timm")
    return request.param


@pytest.fixture(scope="session")
def task(name: str, cache: Path) -> PoseTask:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "_trusted", True)
        return built_with(POSE_MODELS[name], cache, "pose")


@pytest.fixture(scope="session")
def make_trial(task: PoseTask, shared: Path) -> MakeTrial:
    return trials(task, shared / "models")


class TestContracts(StrategyContracts):
    """On each of these models."""


def test_head_and_taps_are_those_of_the_contract(name: str, make_trial: MakeTrial) -> None:
    ((trained,),) = (make_trial(Random()).committee,)
    ((_, outputs),) = trained.batches(SOME)
    with torch.no_grad():
        torch.testing.assert_close(trained.model.head(*outputs.features), outputs.raw)
    assert outputs.taps
    assert all(tap.ndim == 4 and len(tap) == len(SOME) for tap in outputs.taps)
    assert outputs.raw.shape == (len(SOME), 1, 16, SIDES[name], SIDES[name])
    assert trained.lossnet is not None


def test_targets_have_the_heatmaps_resolution(name: str, task: PoseTask) -> None:
    assert task.targets(SOME).heatmaps.shape == (len(SOME), 16, SIDES[name], SIDES[name])


def test_training_changes_what_is_not_frozen(task: PoseTask, name: str, make_trial: MakeTrial) -> None:
    torch.manual_seed(0)
    before = task.build_model().state_dict()
    after = make_trial(Random()).committee[0].model.state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    if "frozen" in name:
        assert not [key for key in before if key.startswith("backbone")], "the frozen trunk is not a part of the model"


def test_augmented_joints_move_with_what_the_model_sees(task: PoseTask, name: str) -> None:
    if "frozen" not in name:
        pytest.skip("its augmentation is the hourglass's")
    rows, targets = task.augmented(SOME, np.random.default_rng(1))
    plain, mirrored = task.unlabeled.inputs(SOME), task.unlabeled.mirrored(SOME)
    assert not torch.equal(plain, mirrored)
    flipped = [torch.equal(row, other) for row, other in zip(rows, mirrored, strict=True)]
    assert any(flipped)
    assert not all(flipped)
    assert [torch.equal(row, other) for row, other in zip(rows, plain, strict=True)] == [not each for each in flipped]
    for place, swapped in enumerate(flipped):
        own = task.targets(SOME[[place]])
        wanted = own.heatmaps[:, list(MPII_MIRRORED)].flip(3) if swapped else own.heatmaps
        torch.testing.assert_close(targets.heatmaps[[place]], wanted)
        assert torch.equal(targets.visible[[place]], own.visible[:, list(MPII_MIRRORED)] if swapped else own.visible)
