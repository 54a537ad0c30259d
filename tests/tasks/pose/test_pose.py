"""The pose task: posteriors, pseudo-targets, flip test, groups, and the hourglass network."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pose_outputs import as_raw, places_of
from torch import Tensor

from lossbench.running.evaluation import evaluate
from tasks.base import Features, TapModel, as_annotations
from tasks.datasets.names import MPII_JOINTS, MPII_MIRRORED
from tasks.models.hourglass import StackedHourglass
from tasks.models.settings import HourglassSettings
from tasks.pose.heatmaps import peaks
from tasks.pose.task import PoseTask
from tasks.training.learner import Learner

RIGHT_ANKLE, LEFT_ANKLE = MPII_JOINTS.index("right ankle"), MPII_JOINTS.index("left ankle")


def test_positive_posteriors_by_hand(task: PoseTask) -> None:
    raw = torch.zeros(1, 2, 16, 2, 2)
    raw[0, 1, 0] = torch.tensor([[3.0, 1.0], [-5.0, 0.0]])
    raw[0, 1, 1] = -4.0
    said = task.unlabeled.posteriors(raw)
    assert said.log_probs.shape == (1, 16, 4)
    assert said.log_probs[0, 0].exp().tolist() == pytest.approx([0.75, 0.25, 0, 0], abs=1e-5)
    assert said.log_probs[0, 1].exp().tolist() == pytest.approx([0.25] * 4)
    assert said.log_probs.exp().sum(2).tolist() == [pytest.approx([1.0] * 16)]
    assert said.weight.sum().item() == pytest.approx(1)
    assert said.weight.unique().tolist() == [1 / 16]
    assert said.context.tolist() == [list(range(16))]


def test_softmax_posteriors_are_a_setting(scenes: Callable[..., PoseTask]) -> None:
    raw = torch.randn(2, 2, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    said = scenes(posterior="softmax").unlabeled.posteriors(raw)
    assert torch.allclose(said.log_probs.exp(), raw[:, 1].flatten(2).softmax(2), atol=1e-6)


def test_pseudo_targets_are_the_models_own_peaks(task: PoseTask) -> None:
    targets = task.targets(np.arange(4))
    pseudo = task.unlabeled.pseudo_targets(as_raw(targets.heatmaps))
    assert pseudo.heatmaps.shape == targets.heatmaps.shape
    gap = peaks(pseudo.heatmaps.numpy()) - places_of(task, np.arange(4)).numpy()
    assert np.abs(gap[targets.visible.numpy()]).max() <= 0.51 / 64


class Canned(TapModel):
    """Says one thing of an image as it is and another of its mirror image."""

    def __init__(self, images: Tensor, mirrored: Tensor) -> None:
        super().__init__()
        self.images, self.mirrored = images, mirrored
        self.head = torch.nn.Identity()

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        assert torch.equal(images, self.images.flip(3))
        return (), (self.mirrored,)


def test_flip_test_averages_the_mirrored_heatmaps(scenes: Callable[..., PoseTask], task: PoseTask) -> None:
    flipping, ids = scenes(flip_test=True), np.arange(3)
    images = flipping.unlabeled.images(ids)
    raw = torch.rand(3, 2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    consistent = raw.flip(4)[:, :, list(MPII_MIRRORED)]
    assert torch.equal(flipping.judged(Canned(images, consistent), ids, raw), raw)
    halved = flipping.judged(Canned(images, torch.zeros_like(raw)), ids, raw)
    assert torch.equal(halved, raw / 2)
    one = torch.zeros_like(raw)
    one[:, :, RIGHT_ANKLE, 2, 0] = 2.0
    assert flipping.judged(Canned(images, one), ids, torch.zeros_like(raw))[0, 1, LEFT_ANKLE, 2, 7] == 1
    assert task.judged(Canned(images, one), ids, raw) is raw


def test_a_flip_test_decides_the_score(scenes: Callable[..., PoseTask]) -> None:
    flipping = scenes(flip_test=True)
    ids, model = flipping.test_ids[:8], flipping.build_model().eval()
    found = evaluate(flipping, Learner(flipping.unlabeled, model), ids)
    with torch.no_grad():
        raw = model(flipping.unlabeled.images(ids)).raw
        averaged = flipping.judged(model, ids, raw)
    assert not torch.allclose(averaged, raw)
    names = flipping.metrics(iter([raw]), ids).keys()
    assert {name: found[name] for name in names} == pytest.approx(flipping.metrics(iter([averaged]), ids), nan_ok=True)
    assert any(
        found[name] != pytest.approx(value, nan_ok=True) for name, value in flipping.metrics(iter([raw]), ids).items()
    )


def test_alike_poses_are_in_one_group(task: PoseTask) -> None:
    one = task.annotations[0]
    there = np.ones_like(one.visible)
    low, high = (one._replace(joints=np.full_like(one.joints, place), visible=there) for place in (0.2, 0.8))
    hidden = low._replace(
        joints=np.full_like(one.joints, 0.9), visible=~there
    )  # at the center, wherever its joints are said to be
    middle = low._replace(joints=np.full_like(one.joints, 0.5))
    posed = copy.copy(task)
    posed.annotations = as_annotations([low, high, low, middle, hidden, high])
    member = posed.groups(np.arange(6), np.arange(6)).int().argmax(1).tolist()
    assert member[0] == member[2] != member[1] == member[5]
    assert member[3] == member[4] not in {member[0], member[1]}


def test_groups_are_clusters_of_the_reference(task: PoseTask) -> None:
    ids = np.arange(40)
    groups = task.groups(ids, ids)
    assert groups.sum(1).tolist() == [1] * 40
    assert groups.any(0).all()
    assert torch.equal(groups, task.groups(ids, ids))
    assert task.groups(np.arange(3), np.arange(2)).shape == (3, 8)
    assert task.groups(np.arange(0), ids).shape == (0, 8)


def test_the_head_reads_every_stacks_features(task: PoseTask) -> None:
    model = task.build_model().eval()
    with torch.no_grad():
        outputs = model(task.unlabeled.images(np.arange(2)))
        assert torch.equal(model.head(*outputs.features), outputs.raw)
    assert outputs.raw.shape == (2, 2, 16, 64, 64)
    assert [tuple(tap.shape) for tap in outputs.taps] == [(2, 8, 64, 64)] * 2
    assert torch.allclose(task.unlabeled.embed(outputs), outputs.taps[1].mean((2, 3)))
    assert outputs.raw.abs().max() < 1  # it starts near the empty heatmap


@pytest.mark.slow
def test_the_papers_hourglass() -> None:
    model = StackedHourglass(HourglassSettings(), len(MPII_JOINTS))
    assert 6e6 < sum(each.numel() for each in model.parameters()) <= 8e6
    outputs = model(torch.randn(2, 3, 256, 256))
    assert [tuple(tap.shape[1:]) for tap in outputs.taps] == [(256, 64, 64)] * 2
    assert outputs.raw.shape == (2, 2, 16, 64, 64)
    (outputs.raw - 1).square().mean().backward()
    optimizer = torch.optim.RMSprop(model.parameters(), 2.5e-4)
    before = model.head.convolutions[0].weight.detach().clone()
    optimizer.step()
    assert all(each.grad is not None for each in model.parameters())
    assert not torch.equal(before, model.head.convolutions[0].weight)
