"""The segmentation task: cells, losses, groups, augmentation, and the encoder-decoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tasks.base import Task
from tasks.datasets.masks import VOID
from tasks.images import augment
from tasks.models.factories.segmenters import SegmenterFactory
from tasks.models.settings import ResNetSegmenterSettings
from tasks.segmentation.cells import cell_classes, cell_posteriors, class_shares
from tasks.segmentation.losses import pixel_losses
from tasks.segmentation.task import SegmentationTask


@pytest.fixture(scope="module")
def task(tiny_task: Callable[[str], Task]) -> Any:
    found = tiny_task("segmentation")
    assert isinstance(found, SegmentationTask)
    return found


def logits_of(probabilities: list[list[float]]) -> torch.Tensor:
    """One image of two classes, from the probability of the first class in each pixel."""
    first = torch.tensor(probabilities)
    return torch.stack([first.log(), (1 - first).log()])[None]


def test_a_row_is_the_mean_distribution_of_its_cell() -> None:
    raw = logits_of([[0.9, 0.5, 0.2, 0.2], [0.7, 0.3, 0.2, 0.2], [0.1] * 4, [0.1] * 4])
    said = cell_posteriors(raw, 2, "even")
    assert said.log_probs.exp()[0, :, 0].tolist() == pytest.approx([0.6, 0.2, 0.1, 0.1])
    assert said.log_probs.exp().sum(2).tolist() == [pytest.approx([1.0] * 4)]
    assert said.weight.tolist() == [[0.25] * 4]
    assert said.context.tolist() == [[0, 1, 1, 1]]
    assert said.grid is None


def test_by_classes_each_class_that_is_shown_has_the_same_weight() -> None:
    raw = logits_of([[0.9, 0.2], [0.1, 0.1]])
    said = cell_posteriors(raw, 2, "classes")
    assert said.weight[0].tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])


def test_a_certain_cell_has_finite_logarithms_and_gradients() -> None:
    raw = torch.tensor([[[[1e4]], [[0.0]]]], requires_grad=True)
    said = cell_posteriors(raw, 1, "even")
    said.log_probs.sum().backward()
    assert torch.isfinite(said.log_probs).all()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()


def test_a_loss_is_the_mean_over_labeled_pixels() -> None:
    raw = logits_of([[0.5, 0.25], [0.8, 0.9]])
    labels = torch.tensor([[[0, 1], [VOID, VOID]]])
    assert pixel_losses(raw, labels).item() == pytest.approx((math.log(2) - math.log(0.75)) / 2)
    nothing = pixel_losses(raw, torch.full_like(labels, VOID))
    assert nothing.tolist() == [0.0]


def test_finer_labels_meet_interpolated_logits() -> None:
    raw, labels = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 8, 8))
    wanted = functional.cross_entropy(
        functional.interpolate(raw, scale_factor=2, mode="bilinear"), labels, reduction="none"
    )
    assert torch.allclose(pixel_losses(raw, labels), wanted.mean((1, 2)))


def test_the_class_of_a_cell_is_that_of_most_of_its_pixels() -> None:
    labels = torch.tensor([[[0, 1, 2, VOID], [1, 1, VOID, VOID], [VOID, VOID, 2, 2], [VOID, VOID, 0, 2]]])
    assert cell_classes(labels, 2, 3).tolist() == [[1, 2, -1, 2]]


def test_groups_are_the_classes_that_take_more_than_usual(task: SegmentationTask) -> None:
    ids = np.arange(40)
    groups, shares = task.groups(ids, ids).numpy(), class_shares(task.annotations[ids], len(task.group_names))
    assert np.array_equal(groups, shares > shares.mean(0))
    assert groups.any(1).all()
    assert not groups.all(0).any(), "a class that all images show is no group of all"
    assert shares.sum(1) == pytest.approx(np.ones(40))


def test_an_image_counts_for_every_class_that_it_shows(task: SegmentationTask) -> None:
    ids = np.arange(30)
    counts = task.label_counts(ids)
    assert list(counts) == list(task.group_names)
    assert counts["background"] == 30
    assert counts["disk"] == sum(int((task.annotations[each] == 1).any()) for each in ids) > 0


def test_annotations_are_predicted_by_a_model_that_knows_them(task: SegmentationTask) -> None:
    ids = task.test_ids
    raw = functional.one_hot(task.targets(ids), len(task.group_names)).permute(0, 3, 1, 2).float()
    assert np.array_equal(task.predictions(raw), task.annotations[ids])
    metrics = task.metrics(iter(raw.split(5)), ids)
    assert metrics == {"mIoU": 1.0, "pixel_accuracy": 1.0, "class_accuracy": 1.0}
    assert task.metrics(iter(raw.roll(1, 0).split(5)), ids)["mIoU"] < 0.5
    assert torch.equal(task.unlabeled.pseudo_targets(raw), task.targets(ids))


def test_labels_move_with_their_image(task: SegmentationTask) -> None:
    ids = np.array([0, 1])
    labels = torch.from_numpy(task.annotations[ids])
    mirrored = augment.mirrored(np.array([False, True]))
    moved = task.unlabeled.warped_labels(labels, mirrored)
    assert torch.equal(moved[0], labels[0].long())
    assert torch.equal(moved[1], labels[1].flip(1).long())
    side = labels.shape[1]
    quarter = augment.windows(*np.array([[0.0, 0.5], [0.0, 0.5], [0.5, 0.5], [0.5, 0.5]]))
    moved = task.unlabeled.warped_labels(labels, quarter)
    large = labels.repeat_interleave(2, 1).repeat_interleave(2, 2).long()
    assert torch.equal(moved[0], large[0, :side, :side])
    assert torch.equal(moved[1], large[1, side:, side:])
    beyond = augment.windows(*np.array([[0.5, 0.5], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]))
    moved = task.unlabeled.warped_labels(labels, beyond)
    assert torch.equal(moved[:, :, : side // 2], labels[:, :, side // 2 :].long())
    assert (moved[:, :, side // 2 :] == VOID).all()


def test_augmented_labels_lie_where_the_augmented_image_shows_them(task: SegmentationTask) -> None:
    ids = np.arange(20)
    pixels, model = task.unlabeled._pixels, task.settings.model
    shown = pixels._stored.clone()
    try:  # an image that shows its own labels
        painted = torch.from_numpy(task.annotations[ids]).unsqueeze(1).expand(-1, 3, -1, -1)
        pixels._stored[ids] = torch.where(painted > 0, 255, 0).to(torch.uint8)
        images, targets = task.augmented(ids, np.random.default_rng(0))
    finally:
        pixels._stored.copy_(shown)
    assert targets.shape == (20, model.pixels, model.pixels)
    objects = images[:, 0] > images[:, 0].mean()
    assert ((targets > 0) == objects).float().mean() > 0.97, "but for borders"


def test_the_head_reads_the_finest_map() -> None:
    settings = ResNetSegmenterSettings(width=8, pixels=64, levels=3, channels=16)
    factory = SegmenterFactory(settings, 5)
    model = factory.build().eval()
    with torch.no_grad():
        outputs = model(torch.randn(2, 3, 64, 64))
    assert factory.side == 16
    assert [tuple(tap.shape[1:]) for tap in outputs.taps] == [(8, 32, 32), (16, 16, 16), (32, 8, 8), (64, 4, 4)]
    assert outputs.features[0].shape == (2, 16, 16, 16)
    assert outputs.raw.shape == (2, 5, 16, 16)


def test_a_factory_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    SegmenterFactory(ResNetSegmenterSettings(width=4, pixels=32), 2)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_fine_prediction_reads_every_level(task: SegmentationTask) -> None:
    model = task.build_model()
    model(task.unlabeled.images(np.arange(2))).raw.square().mean().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in model.backbone.parameters())
