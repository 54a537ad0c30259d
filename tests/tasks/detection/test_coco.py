"""COCO's average precision: the part that is computed gives what the whole evaluation gives."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import tasks.models.openmmlab  # noqa: F401 - before mmdet is imported

# isort: split
import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from tasks.datasets.objects import Objects
from tasks.detection.metrics import Detections, coco_precision

CLASSES = 4


def random_scenes(rng: np.random.Generator, images: int) -> tuple[list[Objects], list[Detections]]:
    """Objects of three sizes, some difficult; detections near them and elsewhere, up to 155 an image."""
    truth, found = [], []
    for _ in range(images):
        count = int(rng.integers(0, 6))
        corner, sides = rng.uniform(0, 0.6, (count, 2)), rng.choice([0.04, 0.15, 0.4], (count, 2))
        boxes = np.concatenate([corner, corner + sides], 1).astype(np.float32)
        labels = rng.integers(0, CLASSES, count)
        truth.append(Objects(boxes, labels, rng.random(count) < 0.2, 300, 200))
        near = boxes + rng.normal(0, 0.02, boxes.shape).astype(np.float32)
        corner = rng.uniform(0, 0.6, (int(rng.choice([4, 150])), 2))
        far = np.concatenate([corner, corner + rng.uniform(0.02, 0.4, corner.shape)], 1).astype(np.float32)
        found.append(
            Detections(
                np.concatenate([near, far]),
                rng.random(len(near) + len(far)).astype(np.float32),
                np.concatenate([labels, rng.integers(0, CLASSES, len(far))]),
            )
        )
    return truth, found


def test_coco_precision_is_the_first_number_of_cocos_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: list[COCOeval] = []

    class Kept(COCOeval):
        def __init__(self, *words: Any) -> None:
            super().__init__(*words)
            whole.append(COCOeval(*words))

    monkeypatch.setattr("tasks.detection.metrics.COCOeval", Kept)
    rng = np.random.default_rng(3)
    values = []
    for images in (1, 12, 40):
        truth, found = random_scenes(rng, images)
        values.append(coco_precision(found, truth, CLASSES))
        with contextlib.redirect_stdout(io.StringIO()):
            whole[-1].evaluate()
            whole[-1].accumulate()
            whole[-1].summarize()
        assert values[-1] == max(float(whole[-1].stats[0]), 0.0), "bit for bit"
    assert 0 < min(values[1:]) < max(values) < 1
