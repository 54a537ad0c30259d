"""Detectors of mmdet's configs, and SSD's head on trunks of libraries, keep the contracts of tasks and strategies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from strategy_contracts import MakeTrial, StrategyContracts, fast_among, trials
from tiny_detectors import MODELS, built_with

from lossbench.diagnosis.taps import candidates
from strategies.random import Random
from tasks.detection.task import DetectionTask
from tasks.models.trust import trust_configs

SOME = np.array([3, 40, 7, 66, 12, 59, 0])


@pytest.fixture(scope="module", autouse=True)
def _trusted() -> Iterator[None]:
    trust_configs(True)
    yield
    trust_configs(False)


@pytest.fixture(scope="module", params=fast_among(MODELS, "frozen"))
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("timm")
    return request.param


@pytest.fixture(scope="module")
def task(name: str, cache: Path) -> DetectionTask:
    built = built_with(MODELS[name], cache)
    assert isinstance(built, DetectionTask)
    return built


@pytest.fixture(scope="module")
def make_trial(task: DetectionTask, shared: Path) -> MakeTrial:
    return trials(task, shared / "models")


class TestContracts(StrategyContracts):
    """On each of these models."""


def test_head_taps_and_rows_are_those_of_the_contract(task: DetectionTask, make_trial: MakeTrial) -> None:
    ((trained,),) = (make_trial(Random()).committee,)
    ((_, outputs),) = trained.batches(SOME)
    with torch.no_grad():
        again = trained.model.head(*outputs.features)
    for one, other in zip(again, outputs.raw, strict=True):
        torch.testing.assert_close(one, other)
    assert all(tap.ndim == 4 and len(tap) == len(SOME) for tap in outputs.taps)
    posteriors = task.unlabeled.posteriors(outputs.raw)
    assert posteriors.log_probs.shape[2] == len(task.group_names) + 1
    torch.testing.assert_close(posteriors.log_probs.exp().sum(2), torch.ones_like(posteriors.weight))
    assert task.unlabeled.boxes(outputs.raw).shape == (*posteriors.weight.shape, 4)
    assert task.unlabeled.embed(outputs).shape[0] == len(SOME)
    assert trained.lossnet is not None


def test_training_changes_what_is_not_frozen(task: DetectionTask, name: str, make_trial: MakeTrial) -> None:
    torch.manual_seed(0)
    before = task.build_model().state_dict()
    after = make_trial(Random()).committee[0].model.state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert ("frozen" in name) == (not [key for key in before if key.startswith("backbone")])


def test_its_parts_can_be_listed(task: DetectionTask, name: str) -> None:
    """Of a trunk that is trained, the parts that `taps` can name, or that the user's file names; else those of the model."""
    parts = candidates(task)
    assert sum(part.operations for part in parts) > 0
    of_trunk = name in {"torchvision", "own"}
    assert of_trunk == (not any(part.name.startswith("neck") for part in parts))


def test_a_mirrored_row_comes_with_mirrored_boxes(task: DetectionTask, name: str) -> None:
    if "frozen" not in name:
        pytest.skip("images of models that are trained whole are augmented themselves")
    ids = np.repeat(SOME, 8)
    rows, targets = task.augmented(ids, np.random.default_rng(0))
    plain, size = task.targets(ids), task.unlabeled.size
    straight = (rows == task.unlabeled.inputs(ids)).all(1)
    assert 0 < int(straight.sum()) < len(ids)
    mirrored = plain.boxes[..., [2, 1, 0, 3]] * torch.tensor([-1.0, 1, -1, 1]) + torch.tensor([size, 0.0, size, 0])
    wanted = torch.where(straight[:, None, None], plain.boxes, mirrored)
    is_object = plain.labels >= 0
    torch.testing.assert_close(targets.boxes[is_object], wanted[is_object], rtol=0, atol=1e-3)
    assert torch.equal(targets.labels, plain.labels)
