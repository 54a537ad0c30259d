"""Decoders on trunks of libraries, frozen or not, keep the contracts of tasks and strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from raw_outputs import SOME
from strategy_contracts import MakeTrial, StrategyContracts, fast_among, trials
from tiny_models import SEGMENTATION_MODELS, built_with, protocol_with

from strategies.random import Random
from tasks.base import Task
from tasks.errors import DataError
from tasks.segmentation.settings import SegmentationSettings

SIDES = {"frozen": 4, "timm ViT": 4, "torchvision": 8, "own": 8, "own, frozen": 8}
"""Of the predicted maps."""


@pytest.fixture(scope="session", params=fast_among(SEGMENTATION_MODELS, "frozen"))
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("timm")
    return request.param


@pytest.fixture(scope="session")
def task(name: str, cache: Path) -> Task[Any, Any]:
    return built_with(SEGMENTATION_MODELS[name], cache, "segmentation")


@pytest.fixture(scope="session")
def make_trial(task: Task[Any, Any], shared: Path) -> MakeTrial:
    return trials(task, shared / "models")


class TestContracts(StrategyContracts):
    """On each of these models."""


def test_head_and_taps_are_those_of_the_contract(name: str, make_trial: MakeTrial) -> None:
    (trained,) = make_trial(Random()).committee
    ((_, outputs),) = trained.batches(SOME)
    with torch.no_grad():
        torch.testing.assert_close(trained.model.head(*outputs.features), outputs.raw)
    assert all(tap.ndim == 4 and len(tap) == len(SOME) for tap in outputs.taps)
    assert outputs.raw.shape == (len(SOME), 9, SIDES[name], SIDES[name])


def test_training_changes_what_is_not_frozen(task: Task[Any, Any], name: str, make_trial: MakeTrial) -> None:
    torch.manual_seed(0)
    before = task.build_model().state_dict()
    after = make_trial(Random()).committee[0].model.state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    if "frozen" in name:
        assert not [key for key in before if key.startswith("backbone")], "the frozen trunk is not a part of the model"


def test_mirrored_labels_belong_to_what_is_stored_of_the_mirrored_image(task: Task[Any, Any], name: str) -> None:
    if "frozen" not in name:
        pytest.skip("its augmentation is that of ResNet-18")
    rows, targets = task.augmented(SOME, np.random.default_rng(1))
    own, plain = task.targets(SOME), task.unlabeled.inputs(SOME)
    stored = [torch.equal(row, other) for row, other in zip(rows, plain, strict=True)]
    assert any(stored)
    assert not all(stored)
    for row, target, unchanged in zip(targets, own, stored, strict=True):
        assert torch.equal(row, target if unchanged else target.flip(1))


def test_only_a_trunk_with_weights_embeds_before_training(task: Task[Any, Any], name: str) -> None:
    if name == "own, frozen":
        pytest.skip("a user's frozen trunk is taken to have weights of its own: tests/tasks/models/test_own.py")
    with pytest.raises(DataError, match="random weights"):
        task.pretrained_model()


def test_a_hidden_layer_is_refused() -> None:
    table = protocol_with(SEGMENTATION_MODELS["timm ViT"], "segmentation").task.model_dump()
    with pytest.raises(ValueError, match="a segmentation model has `channels`"):
        SegmentationSettings.model_validate(table | {"model": table["model"] | {"hidden": 4}})
