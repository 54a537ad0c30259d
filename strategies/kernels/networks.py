"""For strategies that train networks of their own on images: batches, random flips and a training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from strategies.base import SelectionError
from tasks.base import Ids

Module = TypeVar("Module", bound=nn.Module)


def shuffled_batches(ids: Ids, batch: int, rng: np.random.Generator) -> list[Ids]:
    """One epoch: all ids in random order, in batches of nearly equal size and at most `batch` ids.

    Raises:
        SelectionError: there are no ids.
    """
    if len(ids) == 0:
        msg = "no images to train the strategy's network on; it needs one labeled image and one candidate"
        raise SelectionError(msg)
    return np.array_split(rng.permutation(ids), math.ceil(len(ids) / batch))


@dataclass(frozen=True)
class Epochs:
    """A number of epochs over images, each a list of batches in a new random order."""

    ids: Ids
    batch: int
    count: int
    rng: np.random.Generator

    def __iter__(self) -> Iterator[list[Ids]]:
        for _ in range(self.count):
            yield shuffled_batches(self.ids, self.batch, self.rng)

    @property
    def steps(self) -> int:
        """The total number of batches."""
        return self.count * math.ceil(len(self.ids) / self.batch)


def endless_batches(ids: Ids, batch: int, rng: np.random.Generator) -> Iterator[Ids]:
    """Batches of endless epochs, each in a new random order."""
    while True:
        yield from shuffled_batches(ids, batch, rng)


def ordered_batches(ids: Ids, batch: int) -> Iterator[Ids]:
    """All ids in their order, in batches."""
    for start in range(0, len(ids), batch):
        yield ids[start : start + batch]


def random_flip(images: Float[Tensor, "n c h w"], rng: np.random.Generator) -> Float[Tensor, "n c h w"]:
    """The images, each flipped horizontally with probability 1/2."""
    flipped = torch.from_numpy(rng.integers(2, size=len(images)) == 1).to(images.device)
    return torch.where(flipped[:, None, None, None], images.flip(3), images)


def to_device(module: Module, device: torch.device) -> Module:
    """The module, moved to the device in the channels-last memory format, in which convolutions are faster."""
    return module.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch's stubs


class CheckedOptimizer:
    """An optimizer that notes the first step whose loss is not finite, without a synchronization with the device.

    Args:
        optimizer: of the parameters to train.
        steps: the planned number of steps, for the error message.
        loss_name: the name of the loss in the error message.
    """

    def __init__(self, optimizer: Optimizer, steps: int, loss_name: str) -> None:
        self.optimizer = optimizer
        self._steps = steps
        self._loss_name = loss_name
        self._step = 0
        self._first_bad_step: Tensor | None = None

    def step(self, loss: Float[Tensor, ""]) -> None:
        """Clear old gradients, and take one step on this loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        first = torch.full_like(loss, -1, dtype=torch.long) if self._first_bad_step is None else self._first_bad_step
        bad = ~torch.isfinite(loss.detach()) & (first < 0)
        self._step += 1
        self._first_bad_step = torch.where(bad, self._step, first)

    def check(self) -> None:
        """Raise a SelectionError if the loss of any step so far was not finite."""
        step = -1 if self._first_bad_step is None else int(self._first_bad_step)
        if step >= 0:
            msg = f"the {self._loss_name} is not finite at step {step} of {self._steps}; lower learning_rate"
            raise SelectionError(msg)


def train(
    optimizer: Optimizer,
    epochs: Epochs,
    loss: Callable[[Ids], Tensor],
    loss_name: str,
    schedule: LRScheduler | None = None,
) -> None:
    """Take one optimizer step per batch.

    Args:
        optimizer: of the parameters to train.
        epochs: the batches of ids.
        loss: gives the training loss of a batch of ids.
        loss_name: the name of the loss in the error message.
        schedule: of the learning rate, advanced after every epoch.

    Raises:
        SelectionError: a loss is not finite; the message names the step.
    """
    checked = CheckedOptimizer(optimizer, epochs.steps, loss_name)
    for batches in epochs:
        for ids in batches:
            checked.step(loss(ids))
        if schedule is not None:
            schedule.step()
        checked.check()
