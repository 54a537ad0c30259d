"""Joints move with their image: mirrored, turned, and out of the frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mpii_files import built, person, written
from PIL import Image
from pose_outputs import places_of
from torch import Tensor

from tasks.datasets.names import MPII_JOINTS, MPII_MIRRORED
from tasks.pose.heatmaps import peaks
from tasks.pose.task import PoseTask

RIGHT_ANKLE = MPII_JOINTS.index("right ankle")


def test_mirrored_names_the_other_side() -> None:
    for joint, other in enumerate(MPII_MIRRORED):
        swapped = MPII_JOINTS[joint].replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")
        assert MPII_JOINTS[other] == swapped


def test_a_mirrored_left_joint_is_a_right_one(scenes: Callable[..., PoseTask]) -> None:
    task = scenes(rotation_degrees=0.0, zoom=0.0)
    ids = np.arange(20)
    images, targets = task.augmented(ids, np.random.default_rng(0))
    original, before = task.unlabeled.images(ids), task.targets(ids)
    mirrored = (images - original.flip(3)).abs().amax((1, 2, 3)) < 0.05
    same = (images - original).abs().amax((1, 2, 3)) < 0.05
    assert torch.equal(mirrored, ~same)
    assert 0 < mirrored.sum() < 20
    for image in range(20):
        visible, heatmaps = before.visible[image], before.heatmaps[image]
        if mirrored[image]:
            visible, heatmaps = visible[list(MPII_MIRRORED)], heatmaps.flip(2)[list(MPII_MIRRORED)]
        assert torch.equal(targets.visible[image], visible)
        assert torch.allclose(targets.heatmaps[image][visible], heatmaps[visible], atol=1e-4)


def with_dot(root: Path, x: float, y: float) -> PoseTask:
    """One person whose every joint lies on a bright dot, at coordinates that count pixels from 1."""
    settings = written(root, [person(image="dot.png", joints=[[x, y]] * 16, center=[60.0, 55.0], scale=0.3)])
    cells = np.arange(1, 121)
    dot = np.exp(-((cells[None] - x) ** 2 + (cells[:, None] - y) ** 2) / (2 * 1.5**2))
    image = np.tile(np.array([124, 116, 104], np.uint8), (120, 120, 1))  # as what lies outside is filled
    image[..., 0] += (131 * dot).round().astype(np.uint8)
    Image.fromarray(image).save(root / "pose/images/dot.png")
    return built(root, settings)


def bright_place(image: Tensor) -> np.ndarray:
    mass = image[0].double()
    mass = mass * (mass > mass.max() / 10)
    cells = (torch.arange(mass.shape[-1]) + 0.5) / mass.shape[-1]
    return np.array([(mass.sum(0) * cells).sum() / mass.sum(), (mass.sum(1) * cells).sum() / mass.sum()])


@pytest.mark.parametrize(("x", "y"), [(60.0, 55.0), (72.0, 40.0), (50.5, 68.0)])
def test_joints_are_where_the_image_shows_them(tmp_path: Path, x: float, y: float) -> None:
    task = with_dot(tmp_path, x, y)
    ids = np.zeros(12, dtype=np.int64)
    frame = 0.3 * 200 * 1.25
    place = places_of(task, ids[:1])[0, 0].numpy()
    assert place == pytest.approx([(x - 60) / frame + 0.5, (y - 55) / frame + 0.5])
    seen = bright_place(task.unlabeled.images(ids[:1])[0])
    assert seen == pytest.approx(place, abs=0.3 / 64)
    images, targets = task.augmented(ids, np.random.default_rng(1))
    found = peaks(targets.heatmaps.numpy())[:, RIGHT_ANKLE]
    for image, where, visible in zip(images, found, targets.visible, strict=True):
        assert visible.all()
        assert bright_place(image) == pytest.approx(where, abs=0.35 / 16)


def test_what_leaves_the_frame_does_not_count(tmp_path: Path) -> None:
    joints = [[50.0, 45.0]] * 15 + [[50.0 + 0.4 * 250 * 0.51, 45.0]]
    task = built(tmp_path, written(tmp_path, [person(joints=joints)]))
    assert task.targets(np.arange(1)).visible[0].tolist() == [True] * 15 + [False]
    edge = [[50.0, 45.0]] * 15 + [[50.0 + 0.4 * 250 * 0.49, 45.0]]
    task = built(tmp_path, written(tmp_path, [person(joints=edge)]))
    assert task.targets(np.arange(1)).visible.all()
    rotated = [task.augmented(np.arange(1), np.random.default_rng(seed))[1].visible[0, 15].item() for seed in range(20)]
    assert set(rotated) == {True, False}  # some zooms push it out
