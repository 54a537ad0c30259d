"""Recognition tasks: the contract, and the three that the benchmark runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from tasks.base import Task
    from tasks.settings import TaskSettings


def build_task(settings: TaskSettings, data: Path, cache: Path, device: torch.device) -> Task:
    """A task with its images in memory.

    Args:
        data: the folder that holds the real data sets.
        cache: where rendered scenes and pre-trained trunks are kept.

    Raises:
        DataError: what the task needs is missing or damaged.
    """
    # Each kind is imported only where it is needed: mmdet and mmpose take seconds.
    if settings.kind == "classification":
        from tasks.classification.task import ClassificationTask as Built
    elif settings.kind == "detection":
        from tasks.detection.task import DetectionTask as Built
    else:
        from tasks.pose.task import PoseTask as Built
    return Built(settings, data, cache, device)
