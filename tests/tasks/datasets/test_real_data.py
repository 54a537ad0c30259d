"""The real data sets through the real task classes; each test skips where its data set is not at hand.

`LOSSBENCH_DATA` names the folder. The counts are those of the packed data that the project's CI expands: CIFAR-10 as
published, VOC 2007's 4,952 test images in their own split, 6,177 persons of LSP-Extended, and the 701 frames of CamVid.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from perfect_detections import perfect
from torch.nn import functional

from tasks.base import Task
from tasks.datasets.names import VOC_CLASSES
from tasks.kinds import build_task, task_settings

pytestmark = pytest.mark.slow

RECIPE = {"epochs": 1, "batch": 16, "optimizer": "adamw", "learning_rate": 1e-3}


def built(folder: str, cache: Path, **settings: Any) -> Task:
    root = os.environ.get("LOSSBENCH_DATA")
    if not root:
        pytest.skip("the environment variable LOSSBENCH_DATA names no folder of real data")
    if not (Path(root) / folder).exists():
        pytest.skip(f"LOSSBENCH_DATA is {root}, and there is no {folder} in it")
    table = {"recipe": RECIPE, "data": {"validation": 100}} | settings
    return build_task(task_settings(table), Path(root), cache, torch.device("cpu"))


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Task:
    cache = tmp_path_factory.mktemp("cache")
    return built("cifar-10-batches-py", cache, kind="classification", model={"width": 4})


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Task:
    model = {"kind": "resnet18", "width": 4, "pixels": 64}
    return built("VOCdevkit/VOC2007", tmp_path_factory.mktemp("cache"), kind="detection", model=model)


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory) -> Task:
    model = {"stacks": 1, "width": 8, "depth": 2, "pixels": 64}
    return built("pose/annotations", tmp_path_factory.mktemp("cache"), kind="pose", model=model)


@pytest.fixture(scope="module")
def camvid(tmp_path_factory: pytest.TempPathFactory) -> Task:
    model = {"width": 4, "channels": 8, "pixels": 96}
    return built("camvid", tmp_path_factory.mktemp("cache"), kind="segmentation", model=model)


def one_batch(task: Task) -> None:
    """A batch through augmentation, model and losses."""
    ids = np.concatenate([np.arange(6), task.test_ids[-2:]])
    plain = task.unlabeled.images(ids), task.targets(ids)
    for images, targets in (plain, task.augmented(ids, np.random.default_rng(0))):
        outputs = task.build_model()(images)
        losses = task.unlabeled.losses(outputs.raw, targets)
        assert losses.shape == (8,)
        assert losses.isfinite().all()
        assert task.unlabeled.posteriors(outputs.raw).weight.sum(1).tolist() == pytest.approx([1] * 8)
        losses.mean().backward()


def test_cifar10_is_whole(cifar10: Task) -> None:
    assert (cifar10.pool_size, cifar10.test_size) == (50_000, 10_000)
    assert cifar10.group_names[:2] == ("airplane", "automobile")
    assert np.bincount(cifar10.annotations[:50_000]).tolist() == [5000] * 10
    assert np.bincount(cifar10.annotations[50_000:]).tolist() == [1000] * 10
    # The mean and the deviation by which images are normalised are those of the training images.
    images = cifar10.unlabeled.images(np.arange(0, 50_000, 10))
    assert images.mean((0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=0.02)
    assert images.std((0, 2, 3)).tolist() == pytest.approx([1] * 3, abs=0.02)


def test_cifar10_gives_a_batch_and_full_accuracy(cifar10: Task) -> None:
    one_batch(cifar10)
    ids = cifar10.test_ids
    truth = functional.one_hot(cifar10.targets(ids), 10).float()
    assert cifar10.metrics(iter(truth.split(128)), ids)["accuracy"] == 1.0


def test_voc_has_the_official_totals(voc: Task) -> None:
    assert (voc.pool_size, voc.test_size) == (3952, 1000)
    assert sum(len(each.labels) for each in voc.annotations) == 14_976
    assert sum(int(each.difficult.sum()) for each in voc.annotations) == 2_944
    counts = np.bincount(np.concatenate([each.labels for each in voc.annotations]), minlength=20)
    assert counts[VOC_CLASSES.index("car")] == 1541
    assert counts[VOC_CLASSES.index("person")] == 5227
    test = np.bincount(np.concatenate([each.labels for each in voc.annotations[voc.test_ids]]), minlength=20)
    assert test[VOC_CLASSES.index("car")] == 348
    assert test[VOC_CLASSES.index("sheep")] == 87


def test_voc_gives_a_batch_and_full_precision(voc: Task) -> None:
    from tasks.detection.metrics import Detections, coco_precision, voc_precision

    one_batch(voc)
    truth = list(voc.annotations[voc.test_ids])
    easy = [each._replace(boxes=each.boxes[~each.difficult], labels=each.labels[~each.difficult]) for each in truth]
    found = [Detections(each.boxes, np.ones(len(each.labels), np.float32), each.labels) for each in easy]
    assert voc_precision(found, truth, 20) == {"mAP": 1.0, "mAP_area": 1.0}
    assert coco_precision(found, truth, 20) == pytest.approx(1)


def test_voc_boxes_survive_the_way_through_the_raw_output(voc: Task) -> None:
    ids = voc.test_ids[:200]
    raw = perfect(voc.unlabeled, voc.targets(ids), 20)
    # Less than 1 by what suppression takes: objects of one class that overlap by more than 0.45.
    assert voc.metrics(iter([raw]), ids)["mAP"] > 0.93


def test_lsp_extended_is_whole(persons: Task) -> None:
    assert (persons.pool_size, persons.test_size) == (5177, 1000)
    visible = np.stack([each.visible for each in persons.annotations])
    assert visible[:, [8, 9]].all()  # neck and head top, from which the head's size comes
    assert visible.sum(1).min() >= 12
    heads = np.array([each.head_size for each in persons.annotations])
    assert 0.01 < heads.min() < np.median(heads) < 0.2
    places = np.stack([each.joints for each in persons.annotations])
    assert places[visible].min() >= 0
    assert places[visible].max() <= 1


def test_lsp_extended_gives_a_batch_and_full_pckh(persons: Task) -> None:
    from tasks.pose.heatmaps import gaussians

    one_batch(persons)
    ids = persons.test_ids
    places = torch.from_numpy(np.stack([each.joints for each in persons.annotations[ids]]))
    fine = (gaussians(part, 64, 1.0).unsqueeze(1) for part in places.split(100))
    assert persons.metrics(fine, ids)["PCKh"] > 0.999
    coarse = (persons.targets(part).heatmaps.unsqueeze(1) for part in np.array_split(ids, 10))  # 16 x 16 cells
    assert persons.metrics(coarse, ids)["PCKh"] > 0.9


def test_camvid_is_whole(camvid: Task) -> None:
    assert (camvid.pool_size, camvid.test_size, len(camvid.group_names)) == (468, 233, 11)
    counts = np.bincount(camvid.annotations.ravel(), minlength=256)
    shares = dict(zip(camvid.group_names, counts[:11] / camvid.annotations.size, strict=True))
    assert counts[11:255].sum() == 0
    assert shares["road"] == pytest.approx(0.295, abs=0.01)
    assert shares["bicyclist"] == pytest.approx(0.005, abs=0.002)
    assert counts[255] / camvid.annotations.size == pytest.approx(0.036, abs=0.005)


def test_camvid_gives_a_batch_and_full_overlap(camvid: Task) -> None:
    one_batch(camvid)
    ids = camvid.test_ids[:50]
    labels = camvid.targets(ids)
    truth = functional.one_hot(labels.clamp(max=11), 12)[..., :11].permute(0, 3, 1, 2).float()
    assert camvid.metrics(iter(truth.split(20)), ids)["mIoU"] == 1.0
