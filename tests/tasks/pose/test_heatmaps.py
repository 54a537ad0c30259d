"""Heatmaps and the loss on them: mmpose's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.pose.heatmaps import gaussians, peaks
from tasks.pose.losses import PoseTargets
from tasks.pose.task import PoseTask

PLACES = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("sigma", [1.0, 1.7])
def test_heatmaps_are_mmposes_unbiased_ones(sigma: float) -> None:
    from mmpose.codecs import MSRAHeatmap

    codec = MSRAHeatmap((64, 64), (16, 16), sigma, unbiased=True)
    # mmpose's coordinates are those of pixels' centers, and a cell's index times four is where its peak lies.
    keypoints = (PLACES.double().numpy() * 16 - 0.5) * 4
    for image, found in zip(keypoints, gaussians(PLACES, 16, sigma), strict=True):
        encoded = codec.encode(image[None])
        assert np.asarray(encoded["heatmaps"]) == pytest.approx(found.numpy(), abs=1e-4)
        assert encoded["keypoint_weights"].all()


@settings(deadline=None)
@given(x=st.floats(0.2, 0.8), y=st.floats(0.2, 0.8), side=st.integers(16, 40))
def test_the_peak_of_a_heatmap_is_its_place(x: float, y: float, side: int) -> None:
    found = peaks(gaussians(torch.tensor([[[x, y]]]), side, 1.0).numpy())[0, 0]
    assert np.abs(found - [x, y]).max() * side <= 0.25 + 1e-3


def test_a_center_of_a_cell_has_peak_one() -> None:
    heatmap = gaussians(torch.tensor([[[2.5 / 8, 5.5 / 8]]]), 8, 1.0)[0, 0]
    assert heatmap[5, 2].item() == pytest.approx(1)
    assert heatmap[5, 3].item() == pytest.approx(np.exp(-0.5))
    assert heatmap[7, 2].item() == pytest.approx(np.exp(-2))


def test_losses_average_to_mmposes_loss(task: PoseTask) -> None:
    from mmpose.models.losses import KeypointMSELoss

    targets = task.targets(np.arange(12))
    assert 0 < targets.visible.float().mean() < 1
    raw = torch.rand(12, 2, *targets.heatmaps.shape[1:], generator=torch.Generator().manual_seed(0))
    loss = KeypointMSELoss(use_target_weight=True)
    expected = sum(loss(raw[:, stack], targets.heatmaps, targets.visible.float()) for stack in range(2))
    losses = task.unlabeled.losses(raw, targets)
    assert losses.mean().item() == pytest.approx(expected.item(), rel=1e-5)
    third = PoseTargets(targets.heatmaps[2:3], targets.visible[2:3])
    assert task.unlabeled.losses(raw[2:3], third).item() == pytest.approx(losses[2].item())


def test_losses_by_hand(task: PoseTask) -> None:
    targets = PoseTargets(torch.zeros(2, 16, 4, 4), torch.tensor([[True] * 16, [True] * 4 + [False] * 12]))
    raw = torch.full((2, 2, 16, 4, 4), 3.0)
    raw[:, 1] = 1.0
    assert task.unlabeled.losses(raw, targets).tolist() == pytest.approx([9 + 1, (9 + 1) * 4 / 16])


def test_pseudo_targets_show_joints_whose_heatmap_is_nowhere_above_zero(task: PoseTask) -> None:
    raw = task.build_model()(task.unlabeled.images(np.array([0]))).raw.detach()
    raw[:] = -0.5
    raw[0, -1, :, 5, 3] = -0.001
    raw[0, -1, 0, 5, 3] = 0.5
    targets = task.unlabeled.pseudo_targets(raw)
    assert targets.visible.all()
    highest = targets.heatmaps[0].flatten(1).argmax(1)
    assert highest.tolist() == [5 * raw.shape[-1] + 3] * raw.shape[2]
    assert (peaks(raw[:, -1].numpy())[0, 1:] < 0).all(), "a metric sees no peak there"
