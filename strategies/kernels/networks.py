"""What strategies share that train networks of their own on images: batches, flips, and steps that are watched."""

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


def shuffled(ids: Ids, batch: int, rng: np.random.Generator) -> list[Ids]:
    """One epoch: all ids in a random order, in batches of nearly equal size, none above `batch`.

    Raises:
        SelectionError: there are no ids.
    """
    if len(ids) == 0:
        msg = "a network is to be trained on images, and there are none; it needs one labeled image and one candidate"
        raise SelectionError(msg)
    return np.array_split(rng.permutation(ids), math.ceil(len(ids) / batch))


@dataclass(frozen=True)
class Epochs:
    """So many passes over images, each a list of batches in an order of its own."""

    ids: Ids
    batch: int
    count: int
    rng: np.random.Generator

    def __iter__(self) -> Iterator[list[Ids]]:
        for _ in range(self.count):
            yield shuffled(self.ids, self.batch, self.rng)

    @property
    def steps(self) -> int:
        """How many batches there are in all."""
        return self.count * math.ceil(len(self.ids) / self.batch)


def endless(ids: Ids, batch: int, rng: np.random.Generator) -> Iterator[Ids]:
    """Batches of one epoch after the other, each in an order of its own."""
    while True:
        yield from shuffled(ids, batch, rng)


def consecutive(ids: Ids, batch: int) -> Iterator[Ids]:
    """All ids in their order, in batches."""
    for start in range(0, len(ids), batch):
        yield ids[start : start + batch]


def flipped(images: Float[Tensor, "n c h w"], rng: np.random.Generator) -> Float[Tensor, "n c h w"]:
    """The images, each mirrored left to right with probability one half."""
    mirrored = torch.from_numpy(rng.integers(2, size=len(images)) == 1).to(images.device)
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def placed(module: Module, device: torch.device) -> Module:
    """The module, moved to the device, in the memory layout in which convolutions are fast."""
    return module.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch's stubs


class Descent:
    """Steps of one optimizer, which remember the first loss that was not finite without waiting for the device.

    Args:
        optimizer: holds the parameters that learn.
        steps: how many there will be, for the message.
        what: whose loss it is, for the message.
    """

    def __init__(self, optimizer: Optimizer, steps: int, what: str) -> None:
        self.optimizer = optimizer
        self._steps = steps
        self._what = what
        self._taken = 0
        self._first_bad: Tensor | None = None

    def step(self, loss: Float[Tensor, ""]) -> None:
        """Go down along the gradient of this loss, and of nothing that was there before."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        known = torch.full_like(loss, -1, dtype=torch.long) if self._first_bad is None else self._first_bad
        bad = ~torch.isfinite(loss.detach()) & (known < 0)
        self._taken += 1
        self._first_bad = torch.where(bad, self._taken, known)

    def check(self) -> None:
        """Raise a SelectionError if a loss was not finite."""
        if self._first_bad is not None and int(self._first_bad) >= 0:
            msg = f"the {self._what} is not finite at step {int(self._first_bad)} of {self._steps}; lower learning_rate"
            raise SelectionError(msg)


def train(
    optimizer: Optimizer,
    epochs: Epochs,
    loss: Callable[[Ids], Tensor],
    what: str,
    schedule: LRScheduler | None = None,
) -> None:
    """Take one step for each batch of each epoch; the schedule moves on after an epoch.

    Raises:
        SelectionError: a loss was not finite; says at which step of how many.
    """
    descent = Descent(optimizer, epochs.steps, what)
    for batches in epochs:
        for ids in batches:
            descent.step(loss(ids))
        if schedule is not None:
            schedule.step()
        descent.check()
