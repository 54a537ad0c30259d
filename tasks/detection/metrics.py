"""Mean average precision: VOC's two forms, and COCO's through pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import numpy as np
from jaxtyping import Float, Int
from mmdet.evaluation.functional.mean_ap import average_precision, tpfp_default
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tasks.datasets.voc import Objects


class Detections(NamedTuple):
    """What was found in one image, in any order."""

    boxes: Float[np.ndarray, "b 4"]
    """Corners in [0, 1] over the image."""
    scores: Float[np.ndarray, " b"]
    labels: Int[np.ndarray, " b"]


def voc_precision(found: Sequence[Detections], objects: Sequence[Objects], classes: int) -> dict[str, float]:
    """Mean average precision at an overlap of 0.5: `mAP` in VOC 2007's 11-point form and `mAP_area` in the area form of 2010 on.

    A detection of a difficult object counts neither way. Classes that never occur are left out of the mean; overlaps
    are those of the original pixels, in which a box includes its last pixel.
    """
    per_class = [_class_precision(found, objects, label) for label in range(classes)]
    known = np.array([each for each in per_class if each is not None]).reshape(-1, 2)
    points, area = known.mean(0) if len(known) else (0.0, 0.0)
    return {"mAP": float(points), "mAP_area": float(area)}


def _class_precision(found: Sequence[Detections], objects: Sequence[Objects], label: int) -> tuple[float, float] | None:
    scores, hits, alarms, wanted = [], [], [], 0
    for detected, actual in zip(found, objects, strict=True):
        size = np.array([actual.width, actual.height] * 2, dtype=np.float32)
        boxes, easy = actual.boxes * size, ~actual.difficult
        of_class = actual.labels == label
        mine = detected.labels == label
        wanted += int((of_class & easy).sum())
        if not mine.any():
            continue
        rows = np.column_stack([detected.boxes[mine] * size, detected.scores[mine]])
        hit, alarm = tpfp_default(rows, boxes[of_class & easy], boxes[of_class & ~easy], iou_thr=0.5)
        scores.append(detected.scores[mine])
        hits.append(hit[0])
        alarms.append(alarm[0])
    if wanted == 0:
        return None
    if not scores:
        return 0.0, 0.0
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hit, alarm = (np.cumsum(np.concatenate(each)[order], dtype=np.float64) for each in (hits, alarms))
    recall, precision = hit / wanted, hit / np.maximum(hit + alarm, np.finfo(np.float32).eps)
    return float(average_precision(recall, precision, "11points")), float(average_precision(recall, precision, "area"))


def coco_precision(found: Sequence[Detections], objects: Sequence[Objects], classes: int) -> float:
    """COCO's AP over overlaps of 0.5 to 0.95; difficult objects are ignored as COCO ignores crowds."""
    truth: Any = COCO()
    results = []
    boxes = [_coco_boxes(each.boxes, each) for each in objects]
    truth.dataset = {
        "images": [{"id": image} for image in range(len(objects))],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": [
            {"image_id": image, "category_id": int(label), "bbox": list(box), "area": float(box[2] * box[3]),
             "iscrowd": int(hard)}
            for image, actual in enumerate(objects)
            for box, label, hard in zip(boxes[image], actual.labels, actual.difficult, strict=True)
        ],
    }  # fmt: skip
    for number, annotation in enumerate(truth.dataset["annotations"], start=1):
        annotation["id"] = number
    for image, (detected, actual) in enumerate(zip(found, objects, strict=True)):
        for box, score, label in zip(_coco_boxes(detected.boxes, actual), *detected[1:], strict=True):
            results.append({"image_id": image, "category_id": int(label), "bbox": list(box), "score": float(score)})
    if not results or not truth.dataset["annotations"]:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports on stdout
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return max(float(judge.stats[0]), 0.0)


def _coco_boxes(boxes: Float[np.ndarray, "b 4"], image: Objects) -> Float[np.ndarray, "b 4"]:
    """Left, top, width, height in the image's own pixels."""
    pixels = boxes.astype(np.float64) * ([image.width, image.height] * 2)
    return np.concatenate([pixels[:, :2], pixels[:, 2:] - pixels[:, :2]], 1)
