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
        settings: the task's part of a protocol.
        data: the folder that holds the real data sets.
        cache: where rendered scenes and pre-trained trunks are kept.
        device: where images and models lie.

    Raises:
        DataError: what the task needs is missing or damaged.
    """
    # Each kind is imported only where it is needed: mmdet and mmpose take seconds.
    if settings.kind == "classification":
        from tasks.classification.task import ClassificationTask

        return ClassificationTask(settings, data, cache, device)
    if settings.kind == "detection":
        from tasks.detection.task import DetectionTask

        return DetectionTask(settings, data, cache, device)
    from tasks.pose.task import PoseTask

    return PoseTask(settings, data, cache, device)
