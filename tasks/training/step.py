"""One training step: the loss of a batch, its gradients, the update of the weights."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from tasks.base import Outputs, TapModel, Task
from tasks.training.dropout import Dropout
from tasks.training.learner import float32
from tasks.training.processes.parallel import Part, add_up
from tasks.training.processes.whole_batch import whole_batch
from tasks.training.readings import readings


@runtime_checkable
class CoTrained(Protocol):
    """Something that learns from taps and losses in the task's own loop, such as `lossnet.Objective`."""

    def build(self, taps: Sequence[Tensor]) -> nn.Module:
        """A new module for these taps, drawn from torch's global generator."""
        ...

    def loss(self, module: nn.Module, taps: Sequence[Tensor], losses: Tensor, progress: float) -> Tensor:
        """Its training loss, from `module(taps)` and `losses`.

        Where several processes share a batch, the taps are those of a part, while `losses` and what the module gives are
        those of the whole batch.

        Args:
            module: as `build` has made it.
            taps: of the batch.
            losses: the model's, per image.
            progress: share of the epochs that are done, in [0, 1).
        """
        ...


@runtime_checkable
class Phased(Protocol):
    """A `CoTrained` whose `loss` does the same at every progress of one phase, so that its step can be captured."""

    def phase(self, progress: float) -> Hashable:
        """The phase at a share of the epochs."""
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


@dataclass(frozen=True)
class TrainingStep:
    """A step of a model and of what learns beside it.

    Args:
        task: says what a loss is.
        model: in training mode.
        attachments: learn beside the model.
        optimizers: of the model, and of every attachment.
        dropout: on the head's input.
    """

    task: Task[Any, Any]
    model: TapModel
    attachments: Sequence[Attachment]
    optimizers: Sequence[Optimizer]
    dropout: Dropout | None = None

    def __call__(self, inputs: Float[Tensor, "n ..."], targets: Any, progress: float) -> Float[Tensor, ""]:
        """Update all weights, and return the loss that they had.

        Args:
            inputs: of the model.
            targets: of the task.
            progress: share of the epochs that are done.
        """
        return self.on_part(inputs, targets, progress, None)

    def on_part(
        self, inputs: Float[Tensor, "n ..."], targets: Any, progress: float, part: Part | None
    ) -> Float[Tensor, ""]:
        """The same, by all processes of a run, each with its part of the batch; None stands for the whole batch."""
        total = self.loss(inputs, targets, progress, part)
        self.backward(total)
        total = add_up(total, self.learned, part)
        self.update()
        return total.detach()

    @property
    def learned(self) -> tuple[nn.Module, ...]:
        """The model, and the module of every attachment."""
        return self.model, *(attachment.module for attachment in self.attachments)

    def loss(
        self, inputs: Float[Tensor, "n ..."], targets: Any, progress: float, part: Part | None = None
    ) -> Float[Tensor, ""]:
        """The mean loss of a batch plus the losses of what is attached; see `batch_loss`."""
        return batch_loss(self.task, self.model, inputs, targets, self.attachments, self.dropout, progress, part)

    def backward(self, total: Float[Tensor, ""]) -> None:
        """Replace all gradients by those of a loss."""
        for each in self.optimizers:
            each.zero_grad(set_to_none=True)
        total.backward()

    def update(self) -> None:
        """Step all optimizers."""
        for each in self.optimizers:
            each.step()


def batch_loss(
    task: Task[Any, Any],
    model: TapModel,
    images: Float[Tensor, "n ..."],
    targets: Any,
    attachments: Sequence[Attachment] = (),
    dropout: Dropout | None = None,
    progress: float = 0.0,
    part: Part | None = None,
) -> Float[Tensor, ""]:
    """The mean loss of these images plus the losses of what is attached.

    Of a part of a batch it is what the part adds: the sum over all processes is the loss of the whole batch.
    """
    bf16 = torch.autocast(images.device.type, torch.bfloat16, enabled=task.recipe.precision == "bf16")
    with whole_batch(part), bf16:
        taps, features, scales = model.scaled_trunk(images)
        thinned = dropout(features, part) if dropout else features
        outputs = Outputs(taps, features, model.head(*thinned), scales)
    outputs = float32(outputs)
    losses = task.unlabeled.losses(outputs.raw, targets)
    total = losses.sum() / part.whole if part else losses.mean()
    known = part.gathered(losses.detach()) if part else losses.detach()
    for attachment in attachments:
        taps = readings(task.unlabeled, outputs, attachment.objective)
        taps = [tap.detach() for tap in taps] if attachment.detached else taps
        with whole_batch(part, [attachment.module]):
            added = attachment.objective.loss(attachment.module, taps, known, progress)
        total = total + (added / len(part.sizes) if part else added)  # every process has computed it
    return total
