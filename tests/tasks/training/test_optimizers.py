"""Optimizers: the faster ways of stepping give the weights of the plain one, bit for bit where that is claimed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, AdamW, Optimizer, RMSprop

from tasks.settings import Recipe
from tasks.training.optimizers import Rates, device_optimizer, optimizer, scheduled_rates, scheduler, steps_on_device

STEPS = 60
PLAIN: dict[str, Callable[[nn.Module], Optimizer]] = {
    "sgd": lambda module: SGD(module.parameters(), 0.02, momentum=0.9, weight_decay=1e-3, foreach=False),
    "adamw": lambda module: AdamW(module.parameters(), 0.02, weight_decay=1e-3, foreach=False, fused=False),
    "rmsprop": lambda module: RMSprop(module.parameters(), 0.02, weight_decay=1e-3, foreach=False),
}


def recipe(name: str, **changes: object) -> Recipe:
    fields = {"epochs": 1, "batch": 8, "optimizer": name, "learning_rate": 0.02, "weight_decay": 1e-3}
    return Recipe.model_validate(fields | {"schedule": "one-cycle"} | changes)


def weights_after(chosen: Callable[[nn.Module], Optimizer], steps: int = STEPS) -> list[Tensor]:
    """The weights of a small network with convolutions, normalization and a head, in the layout of the tasks' models."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 7, 3), nn.BatchNorm2d(7), nn.ReLU(), nn.Flatten(), nn.Linear(7 * 36, 5))
    module = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    images, labels = torch.randn(8, 3, 8, 8), torch.randint(5, (8,))
    stepped = chosen(module)
    schedule = scheduler(recipe("sgd"), stepped, STEPS)
    for _ in range(steps):
        stepped.zero_grad(set_to_none=True)
        functional.cross_entropy(module(images), labels).backward()
        stepped.step()
        schedule.step()
    return [each.detach() for each in module.parameters()]


@pytest.mark.parametrize("name", PLAIN)
def test_the_optimizer_steps_as_the_plain_one_bit_for_bit(name: str) -> None:
    ours = weights_after(lambda module: optimizer(recipe(name), module.parameters()))
    plain = weights_after(PLAIN[name])
    assert all(torch.equal(*pair) for pair in zip(ours, plain, strict=True))
    assert not torch.equal(ours[0], weights_after(PLAIN[name], steps=0)[0])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_fused_optimizer_steps_as_the_plain_one_but_for_rounding(name: str) -> None:
    fused = weights_after(lambda module: optimizer(recipe(name, fused=True), module.parameters()), steps=1)
    for ours, plain in zip(fused, weights_after(PLAIN[name], steps=1), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("schedule", ["steps", "one-cycle"])
@pytest.mark.parametrize("name", PLAIN)
def test_rates_on_the_device_give_the_weights_of_the_ordinary_optimizer(name: str, schedule: str) -> None:
    chosen = recipe(name, schedule=schedule, milestones=(0.5,), epochs=10, momentum=0.8)
    if not steps_on_device(chosen):
        assert (name, schedule) == ("rmsprop", "one-cycle")
        return
    torch.manual_seed(0)
    gradients = [torch.randn(40) for _ in range(30)]
    start = torch.randn(40)
    plain, ours = (nn.Parameter(start.clone()) for _ in range(2))
    rates = Rates.of(chosen, torch.device("cpu"))
    ordinary, on_device = optimizer(chosen, [plain]), device_optimizer(chosen, [ours], rates)
    schedules = scheduler(chosen, ordinary, per_epoch=3)
    for gradient, (rate, momentum) in zip(gradients, scheduled_rates(chosen, per_epoch=3), strict=True):
        rates.learning_rate.fill_(rate)
        rates.momentum.fill_(momentum)
        plain.grad, ours.grad = gradient.clone(), gradient.clone()
        for each in (ordinary, on_device, schedules):
            each.step()
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain, start, atol=1e-2)


def test_a_recipe_says_that_it_is_fused_only_where_it_is() -> None:
    assert "fused" not in recipe("adamw").model_dump(mode="json"), "older records know no such setting"
    assert recipe("adamw", fused=True).model_dump(mode="json")["fused"] is True
    kept = recipe("adamw", fused=True)
    assert Recipe.model_validate(kept.model_dump(mode="json")) == kept


def test_no_milestone_is_before_the_first_epoch() -> None:
    rates = [
        rate for rate, _ in scheduled_rates(recipe("sgd", schedule="steps", epochs=2, milestones=(0.25,)), per_epoch=2)
    ]
    assert rates == pytest.approx([0.02, 0.02, 0.002, 0.002])
