"""Optimizers and schedules of recipes: stepped by the processor, or with rates that the device reads from its memory."""

# ruff: noqa: SLF001 - of `MANY`

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from tasks.base import Recipe

MANY: Any = torch
"""Its operations on many tensors at once have no public names."""


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
    milestones = [max(round(share * recipe.epochs), 1) * per_epoch for share in recipe.milestones]
    return MultiStepLR(optimizer, milestones)


def scheduled_rates(recipe: Recipe, per_epoch: int) -> Iterator[tuple[float, float]]:
    """The learning rate and the momentum (AdamW's first beta) of every step, as torch's own schedule gives them."""
    stepped = optimizer(recipe, [nn.Parameter(torch.zeros(()))])
    schedule = scheduler(recipe, stepped, per_epoch)
    for _ in range(recipe.epochs * per_epoch):
        group = stepped.param_groups[0]
        yield group["lr"], group["betas"][0] if "betas" in group else group["momentum"]
        stepped.step()
        schedule.step()


@dataclass(frozen=True)
class Rates:
    """The rates of the step that comes next, in the device's memory."""

    learning_rate: Float[Tensor, ""]
    momentum: Float[Tensor, ""]
    """AdamW's first beta."""

    @classmethod
    def of(cls, recipe: Recipe, device: torch.device) -> Rates:
        """Those that the recipe names."""
        return cls(torch.tensor(recipe.learning_rate, device=device), torch.tensor(recipe.momentum, device=device))


def device_optimizer(recipe: Recipe, parameters: Iterable[nn.Parameter], rates: Rates) -> Optimizer:
    """The recipe's optimizer with rates that the device reads when it steps; fused where torch has such a kernel.

    It gives the weights of `optimizer`, but for rounding.

    Args:
        recipe: not of RMSprop under a one-cycle schedule; see `steps_on_device`.
        parameters: to update.
        rates: are written before every step.
    """
    if recipe.schedule == "one-cycle":
        moving = MovingSGD if recipe.optimizer == "sgd" else MovingAdamW
        return moving(parameters, rates, recipe.weight_decay)
    rate, decay = recipe.learning_rate, recipe.weight_decay
    on_gpu = rates.learning_rate.device.type == "cuda"  # on a CPU torch has nothing to capture
    if recipe.optimizer == "sgd":
        made = SGD(parameters, rate, momentum=recipe.momentum, weight_decay=decay, fused=True)
    elif recipe.optimizer == "adamw":
        made = AdamW(parameters, rate, weight_decay=decay, fused=True, capturable=on_gpu)
    else:
        made = RMSprop(parameters, rate, weight_decay=decay, foreach=True, capturable=on_gpu)
    for group in made.param_groups:
        group["lr"] = rates.learning_rate
    return made


def steps_on_device(recipe: Recipe) -> bool:
    """Whether `device_optimizer` has the recipe's optimizer."""
    return not (recipe.optimizer == "rmsprop" and recipe.schedule == "one-cycle")


class _Moving(Optimizer):
    """An optimizer whose momentum changes from step to step; torch's own take it as a number of the program alone.

    Args:
        parameters: to update.
        rates: as for `device_optimizer`.
        weight_decay: of the recipe.
    """

    kept: tuple[str, ...]
    """Names of the tensors that it keeps for every weight; they start at 0."""

    def __init__(self, parameters: Iterable[nn.Parameter], rates: Rates, weight_decay: float) -> None:
        super().__init__(parameters, {})
        self._rates, self._decay = rates, weight_decay

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - torch's takes a closure, too
        """Update the weights that have gradients."""
        weights = [each for group in self.param_groups for each in group["params"] if each.grad is not None]
        for each in weights:
            if not self.state[each]:
                self.state[each].update({name: torch.zeros_like(each) for name in self.kept})
        if weights:
            kept = [[self.state[each][name] for each in weights] for name in self.kept]
            self._update(weights, [each.grad for each in weights], *kept)

    @abstractmethod
    def _update(self, weights: list[Tensor], gradients: list[Tensor], *kept: list[Tensor]) -> None: ...


class MovingSGD(_Moving):
    """SGD with momentum."""

    kept = ("momentum",)

    def _update(self, weights: list[Tensor], gradients: list[Tensor], *kept: list[Tensor]) -> None:
        (momenta,) = kept
        MANY._foreach_mul_(momenta, self._rates.momentum)
        MANY._foreach_add_(momenta, MANY._foreach_add(gradients, weights, alpha=self._decay))
        MANY._foreach_sub_(weights, MANY._foreach_mul(momenta, self._rates.learning_rate))


class MovingAdamW(_Moving):
    """AdamW (Loshchilov & Hutter 2019), with torch's second beta and epsilon."""

    kept = ("mean", "mean_square")
    beta, epsilon = 0.999, 1e-8

    def __init__(self, parameters: Iterable[nn.Parameter], rates: Rates, weight_decay: float) -> None:
        super().__init__(parameters, rates, weight_decay)
        self._steps = torch.zeros_like(rates.momentum)
        self.state[rates.momentum] = {"steps": self._steps}

    def _update(self, weights: list[Tensor], gradients: list[Tensor], *kept: list[Tensor]) -> None:
        means, squares = kept
        rate, momentum = self._rates.learning_rate, self._rates.momentum
        self._steps.add_(1)
        MANY._foreach_mul_(weights, 1 - rate * self._decay)
        MANY._foreach_mul_(means, momentum)
        MANY._foreach_add_(means, MANY._foreach_mul(gradients, 1 - momentum))
        MANY._foreach_mul_(squares, self.beta)
        MANY._foreach_addcmul_(squares, gradients, gradients, 1 - self.beta)
        roots = MANY._foreach_sqrt(squares)
        MANY._foreach_div_(roots, (1 - self.beta**self._steps).sqrt())
        MANY._foreach_add_(roots, self.epsilon)
        MANY._foreach_mul_(roots, (1 - momentum**self._steps) / -rate)
        MANY._foreach_addcdiv_(weights, means, roots)
