"""The one training loop: a task's model, and whatever learns beside it from its taps and per-image losses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from lossbench.errors import LossbenchError
from tasks.base import Ids, Outputs, Recipe, TapModel, Task
from tasks.training.dropout import Dropout
from tasks.training.learner import float32
from tasks.training.readings import readings


class TrainingError(LossbenchError):
    """Training cannot go on: a loss or a tap is not finite."""


@runtime_checkable
class CoTrained(Protocol):
    """Something that learns from taps and losses in the task's own loop, such as `lossnet.Objective`."""

    def build(self, taps: Sequence[Tensor]) -> nn.Module:
        """A new module for these taps, drawn from torch's global generator."""
        ...

    def loss(self, module: nn.Module, taps: Sequence[Tensor], losses: Tensor, progress: float) -> Tensor:
        """Its training loss; `losses` are the model's, per image, and `progress` in [0, 1) the share of epochs done."""
        ...


@dataclass(frozen=True)
class Attachment:
    """A module that learns beside the model; `detached`: its gradients do not reach the model."""

    objective: CoTrained
    module: nn.Module
    detached: bool


@dataclass(frozen=True)
class Streams:
    """The random streams of one training."""

    order: np.random.Generator
    augmentation: np.random.Generator
    dropout: Dropout | None = None
    """On the head's input; None where no strategy of the track trains with it."""


def fit(task: Task, model: TapModel, labeled: Ids, attachments: Sequence[Attachment], streams: Streams) -> None:
    """Train a model, and what is attached to it, in place by the task's recipe.

    An epoch runs through all labeled images in batches of nearly equal size, none above the recipe's.

    Raises:
        TrainingError: a loss was not finite; says at which step of how many.
    """
    recipe = task.recipe
    per_epoch = math.ceil(len(labeled) / recipe.batch)
    learned = [model, *(attachment.module for attachment in attachments)]
    optimizers = [optimizer(recipe, module.parameters()) for module in learned]
    schedulers = [scheduler(recipe, stepped, per_epoch) for stepped in optimizers]
    ordered = np.sort(labeled)
    first_bad = torch.full((), -1, device=task.unlabeled.device)
    for module in learned:
        module.train()
    for epoch in range(recipe.epochs):
        parts = np.array_split(ordered[streams.order.permutation(len(ordered))], per_epoch)
        for step, ids in enumerate(parts, start=epoch * per_epoch):
            total = training_loss(task, model, ids, attachments, streams, epoch / recipe.epochs)
            for stepped in optimizers:
                stepped.zero_grad(set_to_none=True)
            total.backward()
            for stepped in (*optimizers, *schedulers):
                stepped.step()
            bad = ~torch.isfinite(total.detach()) & (first_bad < 0)
            first_bad = torch.where(bad, step, first_bad)  # without waiting for the device
        if int(first_bad) >= 0:
            msg = f"the training loss is not finite at step {int(first_bad)} of {recipe.epochs * per_epoch}"
            raise TrainingError(msg)


def training_loss(
    task: Task,
    model: TapModel,
    ids: Ids,
    attachments: Sequence[Attachment],
    streams: Streams,
    progress: float,
) -> Float[Tensor, ""]:
    """The mean loss of augmented images plus the losses of what is attached."""
    images, targets = task.augmented(ids, streams.augmentation)
    return batch_loss(task, model, images, targets, attachments, streams.dropout, progress)


def batch_loss(
    task: Task,
    model: TapModel,
    images: Float[Tensor, "n ..."],
    targets: Any,
    attachments: Sequence[Attachment] = (),
    dropout: Dropout | None = None,
    progress: float = 0.0,
) -> Float[Tensor, ""]:
    """The mean loss of these images plus the losses of what is attached."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=task.recipe.precision == "bf16"):
        taps, features, scales = model.scaled_trunk(images)
        thinned = dropout(features) if dropout else features
        outputs = Outputs(taps, features, model.head(*thinned), scales)
    outputs = float32(outputs)
    losses = task.unlabeled.losses(outputs.raw, targets)
    total = losses.mean()
    for attachment in attachments:
        taps = readings(task.unlabeled, outputs, attachment.objective)
        taps = [tap.detach() for tap in taps] if attachment.detached else taps
        total = total + attachment.objective.loss(attachment.module, taps, losses.detach(), progress)
    return total


def optimizer(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """The recipe's optimizer.

    Unless it is fused, `foreach` updates all weights operation by operation: bit for bit what torch's loop over them
    gives, in less time where they are many and small.
    """
    rate, decay = recipe.learning_rate, recipe.weight_decay
    foreach = not recipe.fused
    if recipe.optimizer == "sgd":
        return SGD(parameters, rate, momentum=recipe.momentum, weight_decay=decay, foreach=foreach, fused=recipe.fused)
    if recipe.optimizer == "adamw":
        return AdamW(parameters, rate, weight_decay=decay, foreach=foreach, fused=recipe.fused)
    return RMSprop(parameters, rate, weight_decay=decay, foreach=True)


def scheduler(recipe: Recipe, optimizer: Optimizer, per_epoch: int) -> LRScheduler:
    """The recipe's schedule, stepped once a batch."""
    if recipe.schedule == "one-cycle":
        return OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.epochs * per_epoch + 1)
    milestones = [round(share * recipe.epochs) * per_epoch for share in recipe.milestones]
    return MultiStepLR(optimizer, milestones)
