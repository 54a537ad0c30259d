"""A small SSD's settings, random outputs of it, and boxes to be found."""

from __future__ import annotations

from typing import Any

import tasks.models.openmmlab  # noqa: F401 - before mmdet is imported

# isort: split
import numpy as np
import torch
from torch import Tensor

from tasks.detection.losses import BoxTargets, box_targets
from tasks.detection.settings import RowSettings
from tasks.detection.task import UnlabeledDetection
from tasks.images.pixels import Pixels
from tasks.models.settings import SmallSsdSettings
from tasks.models.ssd import Ssd, SsdRaw

CPU = torch.device("cpu")


SMALL = SmallSsdSettings(kind="resnet18", width=4, pixels=64)


CLASSES = 3


RECIPE = {"epochs": 1, "batch": 4, "optimizer": "adamw", "learning_rate": 1e-3}


def reader(ssd: Ssd, **rows: Any) -> UnlabeledDetection:
    return UnlabeledDetection(Pixels(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), 64), ssd, RowSettings(**rows))


def outputs(ssd: Ssd, count: int) -> tuple[list[Tensor], list[Tensor], SsdRaw]:
    """Random predictions as mmdet's maps and as our rows."""
    generator = torch.Generator().manual_seed(count)
    sides = [tap.shape[1:] for tap in ssd(torch.zeros(1, 3, 64, 64)).taps]
    sources = tuple(torch.randn(count, *shape, generator=generator) for shape in sides)
    with torch.no_grad():
        return *ssd.head.ssd(sources), ssd.head(*sources)


def targets(*images: list[tuple[float, float, float, float, int]]) -> BoxTargets:
    boxes = [np.array([each[:4] for each in image], dtype=np.float32).reshape(-1, 4) for image in images]
    return box_targets(boxes, [np.array([each[4] for each in image], dtype=np.int64) for image in images], CPU)


CROWDED = [(2, 2, 30, 28, 0), (3, 3, 31, 29, 1), (40, 35, 60, 62, 2), (10, 40, 14, 44, 1)]


SCENES = [CROWDED, [(0, 0, 64, 64, 2)], [(20, 10, 40, 50, 1), (5, 5, 25, 60, 0)]]
