"""PCKh by hand: half a head, joints that are visible, joints that do not count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mpii_files import built, person, written
from pose_outputs import as_raw, places_of

from tasks.datasets.names import MPII_JOINTS
from tasks.errors import DataError
from tasks.pose.heatmaps import gaussians
from tasks.pose.task import PoseTask

HEAD_TOP, PELVIS = MPII_JOINTS.index("head top"), MPII_JOINTS.index("pelvis")


def test_ground_truth_has_no_loss_and_full_pckh(task: PoseTask) -> None:
    targets = task.targets(task.test_ids)
    both = targets.heatmaps.unsqueeze(1).repeat(1, 2, 1, 1, 1)
    assert task.unlabeled.losses(both, targets).abs().max() == 0
    assert task.metrics([as_raw(targets.heatmaps)], task.test_ids) == {"PCKh": 1.0}


@pytest.mark.parametrize(("heads", "expected"), [(0.4, 1.0), (0.6, 0.0)])
def test_half_a_head_decides(task: PoseTask, heads: float, expected: float) -> None:
    ids = task.test_ids
    places = places_of(task, ids).clone()
    sizes = torch.tensor([each.head_size for each in task.annotations[ids]])
    inward = torch.where(places[..., 0] < 0.5, 1.0, -1.0)
    places[..., 0] += inward * heads * sizes.unsqueeze(1)
    raw = as_raw(gaussians(places, 64, 1.0))
    assert task.metrics([raw[:7], raw[7:]], ids)["PCKh"] == pytest.approx(expected, abs=0.02)


def test_pckh_counts_visible_joints_alike(task: PoseTask) -> None:
    ids = task.test_ids
    visible = np.stack([each.visible for each in task.annotations[ids]])
    heatmaps = task.targets(ids).heatmaps.clone()
    heatmaps[:, HEAD_TOP] = 0
    heatmaps[:, HEAD_TOP, 0, 0] = 1  # nobody's head is there
    counted = [joint for joint in range(16) if joint not in (6, 7)]
    expected = 1 - visible[:, HEAD_TOP].sum() / visible[:, counted].sum()
    assert task.metrics([as_raw(heatmaps)], ids)["PCKh"] == pytest.approx(expected)


def test_pelvis_and_thorax_do_not_count(task: PoseTask) -> None:
    heatmaps = task.targets(task.test_ids).heatmaps.clone()
    heatmaps[:, PELVIS : PELVIS + 2] = heatmaps[:, PELVIS : PELVIS + 2].flip(2, 3).roll(17, 2)
    assert task.metrics([as_raw(heatmaps)], task.test_ids)["PCKh"] == 1.0


def test_whoever_is_judged_needs_a_head(tmp_path: Path) -> None:
    headless = {key: value for key, value in person().items() if key != "head_size"}
    task = built(tmp_path, written(tmp_path, [headless]))
    raw = as_raw(task.targets(np.arange(1)).heatmaps)
    with pytest.raises(DataError, match="no head_size or headbox"):
        task.metrics([raw], np.arange(1))
