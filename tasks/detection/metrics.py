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

from tasks.datasets.objects import Objects


class Detections(NamedTuple):
    """The detections in one image, in any order."""

    boxes: Float[np.ndarray, "b 4"]
    """Corners in [0, 1] over the image."""
    scores: Float[np.ndarray, " b"]
    labels: Int[np.ndarray, " b"]
    """Class indices."""


def voc_precision(detections: Sequence[Detections], objects: Sequence[Objects], classes: int) -> dict[str, float]:
    """Mean average precision at IoU 0.5: `mAP` in VOC 2007's 11-point form, `mAP_area` in the area form of 2010 and later.

    A detection of a difficult object is neither right nor wrong. Classes that never occur are left out of the mean.
    Overlaps are measured in pixels of the original image, where a box includes its last pixel.

    Args:
        detections: of every image.
        objects: the true objects of every image.
        classes: the number of classes.
    """
    per_class = [_class_precision(detections, objects, label) for label in range(classes)]
    occurring = np.array([precision for precision in per_class if precision is not None]).reshape(-1, 2)
    points, area = occurring.mean(0) if len(occurring) else (0.0, 0.0)
    return {"mAP": float(points), "mAP_area": float(area)}


def _class_precision(
    detections: Sequence[Detections], objects: Sequence[Objects], label: int
) -> tuple[float, float] | None:
    """A class's average precision in the 11-point and the area form; None if the class has no objects."""
    scores, true_positives, false_positives, total = [], [], [], 0
    for detected, actual in zip(detections, objects, strict=True):
        size = np.array([actual.width, actual.height] * 2, dtype=np.float32)
        boxes, easy = actual.boxes * size, ~actual.difficult
        of_class = actual.labels == label
        selected = detected.labels == label
        total += int((of_class & easy).sum())
        if not selected.any():
            continue
        rows = np.column_stack([detected.boxes[selected] * size, detected.scores[selected]])
        correct, wrong = tpfp_default(rows, boxes[of_class & easy], boxes[of_class & ~easy], iou_thr=0.5)
        scores.append(detected.scores[selected])
        true_positives.append(correct[0])
        false_positives.append(wrong[0])
    if total == 0:
        return None
    if not scores:
        return 0.0, 0.0
    order = np.argsort(-np.concatenate(scores), kind="stable")
    correct, wrong = (
        np.cumsum(np.concatenate(counts)[order], dtype=np.float64) for counts in (true_positives, false_positives)
    )
    recall, precision = correct / total, correct / np.maximum(correct + wrong, np.finfo(np.float32).eps)
    return float(average_precision(recall, precision, "11points")), float(average_precision(recall, precision, "area"))


def coco_precision(detections: Sequence[Detections], objects: Sequence[Objects], classes: int) -> float:
    """COCO's AP, averaged over IoU 0.5 to 0.95. Difficult objects are ignored, as COCO ignores crowds."""
    truth: Any = COCO()
    truth.dataset = _coco_dataset(objects, classes)
    results = [
        {"image_id": image, "category_id": int(label), "bbox": list(box), "score": float(score)}
        for image, (detected, actual) in enumerate(zip(detections, objects, strict=True))
        for box, score, label in zip(_coco_boxes(detected.boxes, actual), *detected[1:], strict=True)
    ]
    if not results or not truth.dataset["annotations"]:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints to stdout
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        settings = evaluation.params  # only what AP needs: objects of any size, all detections
        settings.areaRng, settings.areaRngLbl = settings.areaRng[:1], settings.areaRngLbl[:1]
        settings.maxDets = settings.maxDets[-1:]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]
    known = precision[precision > -1]  # -1 stands for a class without objects
    return float(np.mean(known)) if known.size else 0.0


def _coco_dataset(objects: Sequence[Objects], classes: int) -> dict[str, list[dict[str, Any]]]:
    """The true objects in COCO's JSON form; ids of annotations start at 1."""
    annotations = [
        {"image_id": image, "category_id": int(label), "bbox": list(box), "area": float(box[2] * box[3]),
         "iscrowd": int(difficult)}
        for image, actual in enumerate(objects)
        for box, label, difficult in zip(_coco_boxes(actual.boxes, actual), actual.labels, actual.difficult, strict=True)
    ]  # fmt: skip
    return {
        "images": [{"id": image} for image in range(len(objects))],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": [annotation | {"id": number} for number, annotation in enumerate(annotations, start=1)],
    }


def _coco_boxes(boxes: Float[np.ndarray, "b 4"], image: Objects) -> Float[np.ndarray, "b 4"]:
    """Left, top, width, height in pixels of the original image."""
    pixels = boxes.astype(np.float64) * ([image.width, image.height] * 2)
    return np.concatenate([pixels[:, :2], pixels[:, 2:] - pixels[:, :2]], 1)
