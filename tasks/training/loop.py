"""The one training loop: a task's model, and whatever learns beside it from its taps and per-image losses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lossbench.errors import LossbenchError
from tasks.base import Ids, TapModel, Task
from tasks.notices import notice
from tasks.progress import report
from tasks.training.device.steps import CaptureError, DeviceSteps, not_captured
from tasks.training.device.task import DeviceTask
from tasks.training.optimizers import optimizer, scheduler
from tasks.training.processes.parallel import Part, copy_from_first, process_count, rows_of
from tasks.training.step import Attachment, Streams, TrainingStep

REPORTED_SECONDS = 2.0
"""Between two reports of how far a training is."""


class TrainingError(LossbenchError):
    """Training cannot go on: a loss or a tap is not finite."""


def fit(task: Task, model: TapModel, labeled: Ids, attachments: Sequence[Attachment], streams: Streams) -> None:
    """Train a model, and what is attached to it, in place by the task's recipe.

    An epoch runs through all labeled images in batches of nearly equal size (`Recipe.batches`). On a GPU they are of equal
    size, and the last one ends with images from the start of its epoch's order. Where several processes make a run, each
    computes its part of every batch.

    Raises:
        TrainingError: a loss was not finite; says at which step of how many.
    """
    recipe, ordered = task.recipe, np.sort(labeled)
    for module in (model, *(attachment.module for attachment in attachments)):
        module.train()
        copy_from_first(module.state_dict().values())
    captures = on_gpu(task) and process_count() == 1
    steps = _captured(task, model, ordered, attachments, streams) if captures else None
    steps = steps or OrdinarySteps(task, model, ordered, attachments, streams)
    per_epoch = recipe.batches(len(labeled))
    said = time.monotonic()
    for epoch in range(recipe.epochs):
        if time.monotonic() - said >= REPORTED_SECONDS:
            report(f"training on {len(labeled):,} images, epoch {epoch + 1:,} of {recipe.epochs:,}")
            said = time.monotonic()
        first_bad = int(steps.epoch(epoch / recipe.epochs))
        if first_bad >= 0:
            at = epoch * per_epoch + first_bad
            msg = f"the training loss is not finite at step {at} of {recipe.epochs * per_epoch}"
            raise TrainingError(msg)


class OrdinarySteps:
    """Steps that the processor prepares one by one. Arguments as for `fit`, with sorted ids."""

    def __init__(
        self, task: Task, model: TapModel, ordered: Ids, attachments: Sequence[Attachment], streams: Streams
    ) -> None:
        recipe = task.recipe
        self._task, self._ordered, self._streams = task, ordered, streams
        self._per_epoch = recipe.batches(len(ordered))
        learned = (model, *(attachment.module for attachment in attachments))
        optimizers = [optimizer(recipe, module.parameters()) for module in learned]
        self._step = TrainingStep(task, model, attachments, optimizers, streams.dropout)
        self._schedulers = [scheduler(recipe, stepped, self._per_epoch) for stepped in optimizers]

    def epoch(self, progress: float) -> Int[Tensor, ""]:
        """Make all steps of an epoch; returns the number of the first whose loss is not finite, or -1.

        Args:
            progress: share of the epochs that are done.
        """
        first_bad = torch.full((), -1, device=self._task.unlabeled.device)
        order = self._ordered[self._streams.order.permutation(len(self._ordered))]
        for number, ids in enumerate(np.array_split(order, self._per_epoch)):
            part = Part.of(len(ids))
            inputs, targets = augmented(self._task, ids, self._streams.augmentation, part)
            total = self._step.on_part(inputs, targets, progress, part)
            for schedule in self._schedulers:
                schedule.step()
            bad = ~torch.isfinite(total) & (first_bad < 0)
            first_bad = torch.where(bad, number, first_bad)  # without waiting for the device
        return first_bad


def augmented(task: Task[Any, Any], ids: Ids, rng: np.random.Generator, part: Part | None) -> tuple[Tensor, Any]:
    """Inputs and targets of a part of an augmented batch: the same, however many processes share the batch.

    What is random is drawn for all images. A `DeviceTask` then reads and changes those of the part alone, others all.

    Args:
        task: to train on.
        ids: of the whole batch.
        rng: draws what is random about the augmentation.
        part: to give; None for the whole batch.
    """
    if part is None:
        return task.augmented(ids, rng)
    if isinstance(task, DeviceTask):
        return task.batch(rows_of(task.drawn(ids, rng), part.rows))
    return rows_of(task.augmented(ids, rng), part.rows)


def _captured(
    task: Task, model: TapModel, ordered: Ids, attachments: Sequence[Attachment], streams: Streams
) -> DeviceSteps | None:
    """Steps in CUDA graphs; None where they cannot be captured, which is said once."""
    reason = not_captured(task, attachments)
    if reason is None and isinstance(task, DeviceTask):
        own = replace(streams, order=deepcopy(streams.order), augmentation=deepcopy(streams.augmentation))
        steps = DeviceSteps.of(task, model, ordered, attachments, own)
        try:
            steps.capture()
        except CaptureError as error:
            reason = str(error)
        else:
            return steps
    say_once(f"training steps are launched one by one, not as a CUDA graph: {reason}")
    return None


@cache
def say_once(line: str) -> None:
    """Say a line, once in this process."""
    notice(line)


def on_gpu(task: Task) -> bool:
    """Whether a task's data are on a GPU."""
    return task.unlabeled.device.type == "cuda"
