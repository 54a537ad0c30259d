"""Classification: the model's size, and what it says of images."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.models import resnet18

from tasks.base import Outputs, Task
from tasks.datasets.scenes import render_object_scene
from tasks.models.resnet import Classifier, ResNet18Stages
from tasks.models.settings import ResNetSettings


@pytest.fixture(scope="module")
def task(tiny_task: Callable[[str], Task]) -> Task:
    return tiny_task("classification")


def test_resnet18_has_the_original_parameters_apart_from_stem_and_classes() -> None:
    ours = Classifier(ResNetSettings(width=64), classes=10)
    shapes = [tuple(each.shape) for each in ours.stages.stages.parameters()]
    original = resnet18()
    theirs = [
        tuple(each.shape)
        for stage in (original.layer1, original.layer2, original.layer3, original.layer4)
        for each in stage.parameters()
    ]
    assert shapes == theirs
    assert ours.stages.stem[0].weight.shape == (64, 3, 3, 3)
    assert ours.head.weight.shape == (10, 512)
    # kuangliu's CIFAR ResNet-18, which the field's numbers come from, has 11,173,962 parameters.
    assert sum(each.numel() for each in ours.parameters()) == 11_173_962


def test_resnet18_with_the_imagenet_stem_computes_what_torchvisions_does() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        original, ours = resnet18().eval(), ResNet18Stages(64, "imagenet").eval()
        images = torch.randn(2, 3, 64, 64)
    stem, stages = list(original.children())[:4], list(original.children())[4:8]
    weights = [each for part in (*stem, *stages) for each in part.state_dict().values()]
    ours.load_state_dict(dict(zip(ours.state_dict(), weights, strict=True)))
    with torch.no_grad():
        maps = images
        for part in stem:
            maps = part(maps)
        for stage, found in zip(stages, ours(images), strict=True):
            maps = stage(maps)
            assert torch.equal(found, maps)


@pytest.mark.parametrize(
    ("stem", "sides"), [("cifar", (32, 16, 8, 4)), ("half", (16, 8, 4, 2)), ("imagenet", (8, 4, 2, 1))]
)
def test_the_taps_are_the_four_stages(stem: str, sides: tuple[int, ...]) -> None:
    model = Classifier(ResNetSettings(width=4, stem=stem), classes=3).eval()
    with torch.no_grad():
        outputs = model(torch.zeros(2, 3, 32, 32))
    assert [tuple(tap.shape) for tap in outputs.taps] == [
        (2, 4 * 2**stage, side, side) for stage, side in enumerate(sides)
    ]
    assert torch.allclose(outputs.features[0], outputs.taps[-1].mean((2, 3)))
    assert torch.equal(model.head(*outputs.features), outputs.raw)


@pytest.mark.slow
def test_one_training_step_at_the_papers_size() -> None:
    model = Classifier(ResNetSettings(width=64), classes=10)
    images, labels = torch.randn(4, 3, 32, 32), torch.arange(4)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    outputs = model(images)
    assert [tuple(tap.shape[1:]) for tap in outputs.taps] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    functional.cross_entropy(outputs.raw, labels).backward()
    before = model.stages.stem[0].weight.detach().clone()
    optimizer.step()
    assert all(each.grad is not None for each in model.parameters())
    assert not torch.equal(before, model.stages.stem[0].weight)


LOGITS = torch.tensor([[math.log(1), math.log(2), math.log(5)], [0.0, 0.0, 0.0]])


def test_posteriors_by_hand(task: Task) -> None:
    said = task.unlabeled.posteriors(LOGITS)
    assert said.log_probs.shape == (2, 1, 3)
    assert said.log_probs[0, 0].exp().tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert said.log_probs[1, 0].exp().tolist() == pytest.approx([1 / 3] * 3)
    assert said.weight.tolist() == [[1.0], [1.0]]
    assert said.context[0].tolist() == [2]
    assert said.pooled(torch.tensor([[3.0], [4.0]])).tolist() == [3.0, 4.0]


def test_losses_and_pseudo_targets_by_hand(task: Task) -> None:
    losses = task.unlabeled.losses(LOGITS, torch.tensor([1, 0]))
    assert losses.tolist() == pytest.approx([-math.log(2 / 8), math.log(3)])
    assert task.unlabeled.pseudo_targets(LOGITS)[0].item() == 2


def test_the_embedding_is_the_pooled_last_stage(task: Task) -> None:
    model = task.build_model().eval()
    with torch.no_grad():
        outputs: Outputs = model(task.unlabeled.images(np.arange(3)))
    assert torch.allclose(task.unlabeled.embed(outputs), outputs.taps[-1].mean((2, 3)))
    assert task.unlabeled.embed(outputs).shape == (3, 64)


def test_accuracy_by_hand(task: Task) -> None:
    labels = task.annotations
    first = labels[0]
    ids = np.concatenate([np.flatnonzero(labels == first)[:3], np.flatnonzero(labels != first)[:1]])
    right = functional.one_hot(task.targets(ids), len(task.group_names)).float()
    assert task.metrics([right[:3], right[3:]], ids) == {"accuracy": 1.0, "balanced_accuracy": 1.0}
    wrong = right.roll(1, dims=1)
    # Two of three images of one class, and none of another: 2/4 of the images, and 1/3 as the mean of the classes.
    found = task.metrics(iter([right[:2], wrong[2:]]), ids)
    assert found == pytest.approx({"accuracy": 2 / 4, "balanced_accuracy": 1 / 3})


def test_groups_are_classes(task: Task) -> None:
    ids = np.array([5, 2, 9])
    groups = task.groups(ids, np.arange(3))
    assert groups.sum(1).tolist() == [1, 1, 1]
    assert groups.int().argmax(1).tolist() == task.annotations[ids].tolist()


def test_augmentation_shifts_by_whole_pixels_and_mirrors(task: Task) -> None:
    ids = np.repeat(7, 40)
    images, labels = task.augmented(ids, np.random.default_rng(0))
    assert torch.equal(labels, task.targets(ids))
    original = task.unlabeled.images(ids[:1])
    black = task.unlabeled.warped(ids[:1], np.array([[[1.0, 0, 5], [0, 1, 5]]]))[0, :, 0, 0].view(1, 3, 1, 1)
    canvas = black.expand(1, 3, 40, 40).clone()
    canvas[..., 4:36, 4:36] = original
    views = [canvas[..., y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
    views = torch.cat([*views, *(view.flip(3) for view in views)])
    nearest = [(views - image).abs().flatten(1).amax(1).min(0) for image in images]
    assert max(found.values.item() for found in nearest) < 1e-3
    assert len({found.indices.item() for found in nearest}) > 25
    assert {found.indices.item() >= 81 for found in nearest} == {True, False}


def test_pool_images_come_first_and_keep_their_order(task: Task) -> None:
    assert (task.pool_size, task.test_size) == (60, 24)
    assert task.test_ids.tolist() == list(range(60, 84))
    for ids, split in ((task.test_ids, "test"), (np.arange(12), "pool")):
        scenes = [render_object_scene(3, split, index) for index in range(len(ids))]
        assert task.annotations[ids].tolist() == [scene.label for scene in scenes]
        expected = np.stack([scene.image.transpose(2, 0, 1) for scene in scenes])
        assert np.array_equal(task.unlabeled.frames(ids).numpy(), expected)
