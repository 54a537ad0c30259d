"""Scores of a learner, from the true labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from leaderboard.schema.records import LARGEST
from lossnet import LossPredictor, ranking_accuracy
from tasks.base import Ids, Outputs, Task
from tasks.training.learner import Learner
from tasks.training.loop import TrainingError
from tasks.training.readings import readings


def true_losses(task: Task, learner: Learner, ids: Ids) -> torch.Tensor:
    """The learner's losses (n,) under the true labels."""

    def losses(part: Ids, outputs: Outputs) -> torch.Tensor:
        return task.unlabeled.losses(outputs.raw, task.targets(part))

    return torch.cat([*learner.shared(ids, losses)])


def evaluate(task: Task, learner: Learner, ids: Ids) -> dict[str, float]:
    """The task's metrics on held-out images, and how well the predicted losses rank the true ones.

    `ranking_accuracy` is that of the shared LossNet; `auxiliary_ranking_accuracy` that of a strategy's own loss predictor.

    Raises:
        TrainingError: one of them is not finite, or too large for a record; the last training step can leave such weights.
    """
    predictors = {"ranking_accuracy": learner.lossnet, "auxiliary_ranking_accuracy": learner.auxiliary}
    predictors = {name: module for name, module in predictors.items() if isinstance(module, LossPredictor)}
    losses: list[torch.Tensor] = []
    predicted: dict[str, list[torch.Tensor]] = {name: [] for name in predictors}

    def computed(part: Ids, outputs: Outputs) -> tuple[Any, torch.Tensor, tuple[torch.Tensor, ...]]:
        with torch.no_grad(), learner.autocast():
            raw = task.judged(learner.model, part, outputs.raw)
        with torch.no_grad():
            guesses = [each.predict_losses(readings(learner.task, outputs, each)) for each in predictors.values()]
        return raw, task.unlabeled.losses(outputs.raw, task.targets(part)), tuple(guesses)

    def judged() -> Iterator[object]:
        for raw, some, guesses in learner.shared(ids, computed):
            losses.append(some)
            for values, guess in zip(predicted.values(), guesses, strict=True):
                values.append(guess)
            yield raw

    metrics = task.metrics(judged(), ids)
    truth = torch.cat(losses).cpu()
    metrics["loss"] = float(truth.mean())
    if len(truth.unique()) > 1:  # else there is no pair to rank
        for name in predictors:
            metrics[name] = ranking_accuracy(torch.cat(predicted[name]).cpu(), truth)
    for name, value in metrics.items():
        if not abs(value) <= LARGEST:
            fault = f"{value:.3g}, more than a record holds" if math.isfinite(value) else f"not finite ({value})"
            msg = f"after the last training step, {name} on the held-out images is {fault}"
            raise TrainingError(msg)
    return metrics
