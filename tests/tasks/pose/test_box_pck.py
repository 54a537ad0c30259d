"""Pose on data in COCO's form: PCK by the person's box, and the contract of strategies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from joint_files import animal, many, table, written
from pose_outputs import as_raw, places_of
from strategy_contracts import MakeTrial, StrategyContracts, trials

from tasks.errors import DataError
from tasks.kinds import build_task, kind_named
from tasks.pose.heatmaps import gaussians
from tasks.pose.metrics import pck
from tasks.pose.task import PoseTask


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> PoseTask:
    root = tmp_path_factory.mktemp("animals")
    settings = written(root, many(60), many(20), data={"validation": 12, "margin": 1.25})
    return build_task(settings, root, root, torch.device("cpu"))


@pytest.fixture(scope="module")
def make_trial(task: PoseTask, tmp_path_factory: pytest.TempPathFactory) -> MakeTrial:
    return trials(task, tmp_path_factory.mktemp("models"))


class TestContracts(StrategyContracts):
    """On four joints of animals."""


def test_the_metric_says_what_it_is_normalized_by(task: PoseTask) -> None:
    assert (task.metric.name, task.metric.unit) == ("PCK", "0.2 of the box, share of joints")
    assert PoseTask.metric.name == "PCKh"
    assert task.metric.name in kind_named("pose").bounds


@pytest.mark.parametrize(("share", "expected"), [(0.18, 1.0), (0.22, 0.0)])
def test_a_fifth_of_the_box_decides(share: float, expected: float, task: PoseTask) -> None:
    ids = task.test_ids
    places = places_of(task, ids).clone()
    places[..., 1] += share * 40 / 50  # the box is 40 pixels wide, and the frame 50
    raw = as_raw(gaussians(places, 64, 1.0))
    assert task.metrics([raw[:7], raw[7:]], ids) == {"PCK": pytest.approx(expected, abs=0.02)}


def test_pck_by_hand() -> None:
    joints = np.zeros((2, 3, 2))
    predicted = joints + np.array([[[0.1, 0], [0.15, 0.15], [9, 9]], [[0, 0.5], [0.39, 0], [9, 9]]])
    visible = np.array([[True, True, True], [True, True, False]])
    # The boxes are 1 and 2: hit, miss (.21 > .2), not counted; miss (.5 > .4), hit (.39 < .4), not visible.
    assert pck(predicted, joints, visible, np.array([1.0, 2.0]), (0, 1)) == pytest.approx(0.5)


def test_all_joints_count_unless_the_protocol_names_some(task: PoseTask, tmp_path: Path) -> None:
    ids = task.test_ids
    places = places_of(task, ids).clone()
    places[:, 3] = 0.1  # the tail is wrong
    raw = as_raw(gaussians(places, 64, 1.0))
    assert task.metrics([raw], ids)["PCK"] == pytest.approx(0.75)
    some = written(tmp_path, many(3), many(20), counted_joints=[0, 1])
    assert build_task(some, tmp_path, tmp_path, torch.device("cpu")).metrics([raw], np.arange(3, 23))["PCK"] == 1
    other = written(tmp_path, many(3), many(20), counted_joints=[4])
    with pytest.raises(DataError, match="counted_joints: 4 is no joint"):
        build_task(other, tmp_path, tmp_path, torch.device("cpu"))


def test_mirrored_images_swap_the_paws(tmp_path: Path) -> None:
    hidden = table(animal(visible=(2, 2, 0, 2)))
    task = build_task(
        written(tmp_path, hidden, rotation_degrees=0.0, zoom=0.0), tmp_path, tmp_path, torch.device("cpu")
    )
    seen = task.augmented(np.zeros(32, dtype=np.int64), np.random.default_rng(0))[1].visible
    assert {tuple(row) for row in seen.tolist()} == {(True, True, False, True), (True, False, True, True)}
