"""VOC's and COCO's average precision by hand, and mmdet's."""

from __future__ import annotations

import multiprocessing.dummy

import tasks.models.openmmlab  # noqa: F401 - before mmdet is imported

# isort: split
import mmdet.evaluation.functional.mean_ap as mmdet_map
import numpy as np
import pytest

from tasks.datasets.objects import Objects
from tasks.detection.metrics import Detections, coco_precision, voc_precision


def objects(*rows: tuple[float, float, float, float, int, bool]) -> Objects:
    boxes = np.array([row[:4] for row in rows], dtype=np.float32).reshape(-1, 4) / 100
    return Objects(
        boxes, np.array([row[4] for row in rows], np.int64), np.array([row[5] for row in rows], bool), 100, 100
    )


def found_as(*rows: tuple[float, float, float, float, int, float]) -> Detections:
    boxes = np.array([row[:4] for row in rows], dtype=np.float32).reshape(-1, 4) / 100
    labels, scores = (np.array([row[column] for row in rows]) for column in (4, 5))
    return Detections(boxes, scores.astype(np.float32), labels.astype(np.int64))


ONE, OTHER, AWAY = (10, 10, 40, 40), (50, 50, 90, 90), (60, 5, 80, 25)


def test_average_precision_by_hand() -> None:
    truth = [objects((*ONE, 0, False), (*OTHER, 0, False))]
    found = [found_as((*ONE, 0, 0.9), (*AWAY, 0, 0.8), (*OTHER, 0, 0.7))]
    # Precision 1 up to recall 1/2 (six of eleven points), then 2/3.
    assert voc_precision(found, truth, 1) == pytest.approx({"mAP": (6 + 5 * 2 / 3) / 11, "mAP_area": 0.5 + 0.5 * 2 / 3})
    missed = [found_as((*ONE, 0, 0.9))]
    assert voc_precision(missed, truth, 1) == pytest.approx({"mAP": 6 / 11, "mAP_area": 0.5})


def test_a_second_detection_of_an_object_is_a_false_alarm() -> None:
    truth = [objects((*ONE, 0, False), (*OTHER, 0, False))]
    found = [found_as((*ONE, 0, 0.9), (11, 11, 40, 40, 0, 0.8), (*OTHER, 0, 0.7))]
    assert voc_precision(found, truth, 1)["mAP_area"] == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_a_difficult_object_is_neither_a_miss_nor_an_alarm() -> None:
    truth = [objects((*ONE, 0, False), (*OTHER, 0, True))]
    with_it = [found_as((*OTHER, 0, 0.9), (51, 51, 90, 90, 0, 0.85), (*ONE, 0, 0.8))]
    without = [found_as((*ONE, 0, 0.8))]
    assert voc_precision(with_it, truth, 1) == voc_precision(without, truth, 1) == {"mAP": 1.0, "mAP_area": 1.0}
    assert voc_precision(with_it, [objects((*ONE, 0, False))], 1)["mAP_area"] == pytest.approx(1 / 3)


def test_half_an_overlap_decides() -> None:
    truth = [objects((0, 0, 50, 50, 0, False))]
    assert voc_precision([found_as((0, 0, 50, 26, 0, 0.9))], truth, 1)["mAP"] == 1
    assert voc_precision([found_as((0, 0, 50, 24, 0, 0.9))], truth, 1)["mAP"] == 0


def test_overlaps_are_those_of_the_original_shape() -> None:
    wide = objects((0, 0, 50, 50, 0, False))._replace(width=200, height=50)
    assert voc_precision([found_as((0, 0, 50, 50, 0, 0.9))], [wide], 1)["mAP"] == 1
    assert coco_precision([found_as((0, 0, 50, 50, 0, 0.9))], [wide], 1) == pytest.approx(1)


def test_classes_count_alike_and_absent_ones_do_not() -> None:
    truth = [objects((*ONE, 0, False), (*OTHER, 0, False), (*AWAY, 2, False), (*ONE, 3, True))]
    found = [found_as((*ONE, 0, 0.9), (*OTHER, 0, 0.9), (*OTHER, 1, 0.9), (*OTHER, 3, 0.9))]
    assert voc_precision(found, truth, 5) == {"mAP": 0.5, "mAP_area": 0.5}  # classes 0 and 2
    assert voc_precision([found_as()], [objects()], 5) == {"mAP": 0.0, "mAP_area": 0.0}


def random_images(seed: int, count: int) -> tuple[list[Detections], list[Objects]]:
    random = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(count):
        most = random.integers(0, 5)
        corner, sides = random.uniform(0, 60, (most, 2)), random.uniform(10, 40, (most, 2))
        boxes, labels = np.concatenate([corner, corner + sides], 1), random.integers(0, 3, most)
        truth.append(objects(*(zip(*boxes.T, labels, random.random(most) < 0.3, strict=True))))
        strays = random.uniform(0, 60, (3, 4)) + np.array([0, 0, 40, 40])
        again = np.concatenate([boxes, boxes, strays])
        again = again + random.normal(0, 2, again.shape)
        guessed = np.concatenate([labels, labels, random.integers(0, 3, 3)])
        found.append(found_as(*zip(*again.T, guessed, random.random(len(again)), strict=True)))
    return found, truth


@pytest.mark.parametrize(("name", "mode"), [("mAP", "11points"), ("mAP_area", "area")])
@pytest.mark.parametrize("seed", range(8))
def test_precision_equals_mmdets(monkeypatch: pytest.MonkeyPatch, name: str, mode: str, seed: int) -> None:
    monkeypatch.setattr(mmdet_map, "Pool", multiprocessing.dummy.Pool)
    found, truth = random_images(seed, 25)
    rows = [np.column_stack([each.boxes * 100, each.scores]).astype(np.float32) for each in found]
    results = [[row[each.labels == label] for label in range(3)] for row, each in zip(rows, found, strict=True)]
    annotations = [
        {
            "bboxes": each.boxes[~each.difficult] * 100,
            "labels": each.labels[~each.difficult],
            "bboxes_ignore": each.boxes[each.difficult] * 100,
            "labels_ignore": each.labels[each.difficult],
        }
        for each in truth
    ]
    expected, _ = mmdet_map.eval_map(results, annotations, iou_thr=0.5, logger="silent", nproc=1, eval_mode=mode)
    assert 0.2 < expected < 0.95
    assert voc_precision(found, truth, 3)[name] == pytest.approx(expected, abs=1e-6)


def test_coco_precision_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    truth = [objects((*ONE, 0, False), (*OTHER, 1, False)), objects(), objects((*AWAY, 1, False))]
    right = [found_as((*ONE, 0, 0.9), (*OTHER, 1, 0.9)), found_as(), found_as((*AWAY, 1, 0.3))]
    assert coco_precision(right, truth, 2) == pytest.approx(1)
    assert coco_precision([found_as()], truth[:1], 2) == 0
    assert coco_precision([found_as((*ONE, 0, 0.9))], [objects()], 2) == 0
    # An overlap of 0.62 passes the thresholds 0.5, 0.55 and 0.6 of ten.
    square = [objects((0, 0, 50, 50, 0, False))]
    assert coco_precision([found_as((0, 0, 50, 31, 0, 0.9))], square, 1) == pytest.approx(0.3)
    hard = [objects((*ONE, 0, False), (*OTHER, 0, True))]
    assert coco_precision([found_as((*OTHER, 0, 0.95), (*ONE, 0, 0.9))], hard, 1) == pytest.approx(1)
    assert capsys.readouterr().out == ""
