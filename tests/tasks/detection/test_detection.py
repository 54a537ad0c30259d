"""Detection: boxes there and back, posteriors, groups, and augmentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from perfect_detections import perfect
from PIL import Image
from ssd_examples import CLASSES, SCENES, reader, targets
from torch import Tensor
from torchvision.ops import box_iou
from voc_files import POOL, TEST, built, devkit, element, xml

from tasks.detection.task import DetectionTask
from tasks.models.ssd import Ssd, SsdRaw


@pytest.fixture(scope="module")
def task(tiny_task: Callable[[str], DetectionTask]) -> DetectionTask:
    return tiny_task("detection")


def test_what_is_encoded_is_decoded(ssd: Ssd) -> None:
    some = reader(ssd)
    wanted = targets(*SCENES)
    raw = perfect(some, wanted, CLASSES)
    boxes, spoken = some.boxes(raw), raw.scores[:, :, -1] == 0
    for image, scene in enumerate(SCENES):
        found = sorted(boxes[image][spoken[image]].round(decimals=2).tolist())
        assert found == pytest.approx(np.array(sorted([list(each[:4]) for each in scene])), abs=0.02)


def test_ground_truth_as_raw_output_has_full_precision(task: DetectionTask) -> None:
    ids = np.array([image for image in task.test_ids if not task.annotations[image].difficult.all()])
    raw = perfect(task.unlabeled, task.targets(ids), len(task.group_names))
    found = task.metrics(iter([SsdRaw(*(part[:9] for part in raw)), SsdRaw(*(part[9:] for part in raw))]), ids)
    assert found["mAP"] == pytest.approx(1.0)
    assert found["mAP_area"] == pytest.approx(1.0)
    assert found["COCO_AP"] > 0.99
    assert found["weight_on_objects"] == pytest.approx(1.0, abs=1e-5)
    shifted = task.metrics(iter([SsdRaw(*(part.roll(1, 0) for part in raw))]), ids)
    assert shifted["mAP"] < 0.3


def test_weight_on_objects_is_a_share(task: DetectionTask) -> None:
    ids = task.test_ids[:6]
    raw = perfect(task.unlabeled, task.targets(ids), len(task.group_names))
    nothing = SsdRaw(torch.zeros_like(raw.scores), raw.offsets)
    share = task.metrics(iter([nothing]), ids)["weight_on_objects"]  # some anchors, all alike
    assert 0 < share < 0.3
    weights, boxes = task.unlabeled.posteriors(nothing).weight, task.unlabeled.boxes(nothing)
    shares = []
    for weight, corners, objects in zip(weights, boxes, task.annotations[ids], strict=True):
        if len(objects.boxes):
            overlaps = box_iou(corners, torch.from_numpy(objects.boxes).float() * task.unlabeled.size)
            shares.append(float(weight[overlaps.amax(1) >= 0.5].sum()))
    assert share == pytest.approx(np.mean(shares))


def test_difficult_objects_are_no_targets(task: DetectionTask) -> None:
    counts = [int((~each.difficult).sum()) for each in task.annotations]
    assert sum(each.difficult.sum() for each in task.annotations) > 0
    everything = task.targets(np.arange(len(task.annotations)))
    assert (everything.labels >= 0).sum(1).tolist() == counts


def test_the_boxes_of_targets_are_those_of_their_labels(tmp_path: Path) -> None:
    mixed = xml(element(difficult="1"), element("cat", (51, 41, 100, 80)))
    devkit(tmp_path, {"a": mixed}, {"e": xml(element(), element())})
    targets = built(tmp_path).targets(np.arange(2))
    assert targets.labels.tolist() == [[0, -1], [1, 1]]
    assert targets.boxes[0, 0].tolist() == pytest.approx([32, 32, 64, 64])


LOGITS = torch.log(torch.tensor([[0.1, 0.3, 0.6], [0.6, 0.3, 0.1], [0.01, 0.01, 0.98], [0.2, 0.4, 0.4]]))


def said(ssd: Ssd, logits: Tensor, **rows: Any) -> Any:
    return reader(ssd, **rows).posteriors(SsdRaw(logits, torch.zeros(*logits.shape[:2], 4)))


def test_weights_are_the_probability_of_an_object(ssd: Ssd) -> None:
    found = said(ssd, LOGITS[None], most=200, threshold=0.05)
    assert found.weight[0].tolist() == pytest.approx([0.4 / 1.9, 0.9 / 1.9, 0, 0.6 / 1.9])
    assert found.log_probs[0].exp().flatten().tolist() == pytest.approx(LOGITS.exp().flatten().tolist())
    assert found.context[0].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.7, [0, 1, 0, 0]), (0.6, [0, 0.9 / 1.5, 0, 0.6 / 1.5]), (0, [0.4 / 1.92, 0.9 / 1.92, 0.02 / 1.92, 0.6 / 1.92])],
)
def test_rows_must_be_nearly_as_likely_as_the_likeliest(ssd: Ssd, threshold: float, expected: list[float]) -> None:
    assert said(ssd, LOGITS[None], threshold=threshold).weight[0].tolist() == pytest.approx(expected)
    # The same rows, each a thousand times less likely to be an object: the model is sure of nothing.
    doubtful = LOGITS.exp() * torch.tensor([1e-3, 1e-3, 1.0])
    doubtful[:, 2] = 1 - doubtful[:, :2].sum(1)
    weight = said(ssd, doubtful.log()[None], threshold=threshold).weight[0]
    assert weight.tolist() == pytest.approx(expected, rel=1e-3)


def test_at_most_so_many_rows_have_weight(ssd: Ssd) -> None:
    weight = said(ssd, LOGITS[None], most=2, threshold=0.0).weight[0]
    assert weight.tolist() == pytest.approx([0, 0.9 / 1.5, 0, 0.6 / 1.5])
    tied = torch.zeros(3, 50, CLASSES + 1)
    weight = said(ssd, tied, most=7).weight
    assert (weight > 0).sum(1).tolist() == [7, 7, 7]
    assert weight.sum(1).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("certainty", [20.0, 90.0, 1000.0])
def test_weights_are_finite_where_nothing_is_seen(ssd: Ssd, certainty: float) -> None:
    logits = torch.zeros(1, 6, CLASSES + 1)
    logits[:, :, -1] = certainty
    logits[0, 4, -1] -= 1
    weight = said(ssd, logits, threshold=0.7).weight[0]
    assert weight.tolist() == pytest.approx([0, 0, 0, 0, 1, 0])
    assert said(ssd, logits, threshold=0.0).weight.sum().item() == pytest.approx(1)


def test_posteriors_are_differentiable(ssd: Ssd) -> None:
    logits = LOGITS[None].clone().requires_grad_()
    found = said(ssd, logits)
    found.pooled(found.log_probs[:, :, 0]).sum().backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 1].any()


def test_pseudo_targets_are_what_is_likelier_than_not(ssd: Ssd) -> None:
    some = reader(ssd)
    raw = perfect(some, targets(*SCENES), CLASSES)
    raw.scores[1] = torch.tensor([0.0, 0.0, 0.4, 0.5])  # nobody's object
    pseudo = some.pseudo_targets(raw)
    assert sorted(pseudo.labels[0].tolist()) == [0, 1, 1, 2]
    assert pseudo.labels[1].tolist() == [-1] * 4
    found = {tuple(box.round().tolist()) for box in pseudo.boxes[2][pseudo.labels[2] >= 0]}
    assert found == {(20, 10, 40, 50), (5, 5, 25, 60)}


def test_suppression_is_class_by_class_at_045(ssd: Ssd) -> None:
    some = reader(ssd)
    wanted = targets([(2, 2, 30, 30, 0), (2, 2, 30, 28, 0), (2, 2, 30, 30, 1), (2, 22, 30, 50, 0)])
    (found,) = some.detections(perfect(some, wanted, CLASSES))
    assert sorted(found.labels.tolist()) == [0, 0, 1]


def test_groups_are_the_easy_classes_present(task: DetectionTask) -> None:
    ids = np.arange(30)
    for image, row in zip(ids, task.groups(ids, ids), strict=True):
        entry = task.annotations[image]
        assert set(row.nonzero().flatten().tolist()) == set(entry.labels[~entry.difficult].tolist())


def test_boxes_move_with_what_they_surround(tmp_path: Path) -> None:
    folder = devkit(tmp_path, {"a": xml(element(box=(31, 25, 70, 64)))}, TEST)
    picture = np.full((80, 100, 3), (124, 116, 104), np.uint8)
    picture[24:64, 30:70] = 255
    Image.fromarray(picture).save(folder / "JPEGImages/a.jpg", quality=100, subsampling=0)
    task = built(tmp_path)
    images, targets = task.augmented(np.zeros(60, dtype=np.int64), np.random.default_rng(0))
    assert (targets.labels[:, 0] == 1).all()
    checked = 0
    for image, box in zip(images, targets.boxes[:, 0], strict=True):
        green = image[1]
        bright = green > (green.min() + green.max()) / 2
        if green.max() - green.min() < 0.3 or bright[0].all():
            continue  # all is object
        rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert [int(each) for each in seen] == pytest.approx(box.tolist(), abs=1.6)
        checked += 1
    assert checked > 40


def test_augmented_boxes_lie_in_the_image_and_have_area(task: DetectionTask) -> None:
    ids = np.arange(60)
    images, targets = task.augmented(ids, np.random.default_rng(0))
    boxes = targets.boxes[targets.labels >= 0]
    assert images.shape == (60, 3, 64, 64)
    assert boxes.min() >= 0
    assert boxes.max() <= 64
    assert ((boxes[:, 2:] - boxes[:, :2]) > 0).all()
    assert len(boxes) > 60


def test_a_batch_without_any_object_can_be_augmented(tmp_path: Path) -> None:
    devkit(tmp_path, {"b": POOL["b"], "c": POOL["c"]}, TEST)
    task = built(tmp_path)
    images, targets = task.augmented(np.arange(2), np.random.default_rng(0))
    assert targets.boxes.shape == (2, 0, 4)
    assert task.unlabeled.losses(task.build_model().eval()(images).raw, targets).isfinite().all()
