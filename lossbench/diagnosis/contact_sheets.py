"""Contact sheets of a run: its picks, and the predictions of its last model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from leaderboard.schema.records import Record
from tasks.base import Ids, Task
from tasks.images.drawing import cell, grid
from tasks.kinds import kind_named
from tasks.training.learner import Learner

COLUMNS = 12
"""Images per row at most."""


def picks_sheet(task: Task[Any, Any], record: Record) -> UInt8[Tensor, "3 h w"]:
    """The first picks of every round with their true labels; one row per round."""
    rows = [np.array(one.picked[:COLUMNS], dtype=np.int64) for one in record.rounds if one.picked]
    cells = [draw_annotation(task, int(image), task.annotations[image]) for row in rows for image in row]
    return grid(cells, min(COLUMNS, max((len(row) for row in rows), default=1)))


def predictions_sheet(task: Task[Any, Any], learner: Learner, ids: Ids) -> UInt8[Tensor, "3 h w"]:
    """The first of these images with their true labels in the upper row and the model's predictions in the lower row.

    Predictions are those that the metrics evaluate, for instance averaged with those of the mirrored image.
    """
    ids = ids[:COLUMNS]
    labels, predictions = task.annotations[ids], predicted_annotations(task, learner, ids)
    cells = [
        draw_annotation(task, int(image), annotation)
        for annotations in (labels, predictions)
        for image, annotation in zip(ids, annotations, strict=True)
    ]
    return grid(cells, len(ids))


def predicted_annotations(task: Task[Any, Any], learner: Learner, ids: Ids) -> NDArray[Any]:
    """The model's predictions for these images in the form of `Task.annotations`."""
    parts = []
    for part, outputs in learner.batches(ids):
        with torch.no_grad(), learner.autocast():
            raw = task.judged(learner.model, part, outputs.raw)
        parts.append(task.predictions(raw))
    return np.concatenate(parts)


def draw_annotation(task: Task[Any, Any], image: int, annotation: Any) -> UInt8[Tensor, "3 c c"]:
    """An image with one annotation.

    Args:
        task: holds the image.
        image: its id.
        annotation: an entry of `Task.annotations` or `Task.predictions`.
    """
    frame = cell(task.unlabeled.frames(np.array([image]))[0].cpu(), smooth=True)
    return kind_named(task.settings.kind).draw(frame, annotation, task.group_names)
