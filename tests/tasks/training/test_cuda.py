"""On a GPU: the processor's losses, the ordinary steps' weights, and no wait within an epoch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_learners import built
from tiny_tasks import KINDS, with_recipe
from torch import Tensor, nn

from lossbench.running.evaluation import evaluate
from lossbench.running.sweep import prepare
from lossnet import DivergenceObjective, ListwiseObjective, RankingObjective
from tasks.base import Task
from tasks.images.squares import StoredSquares
from tasks.memory import images_at_once
from tasks.models.trunks.frozen import FeatureStore, ResidentRows
from tasks.training import loop
from tasks.training.device.steps import DeviceSteps
from tasks.training.dropout import Dropout
from tasks.training.learner import Learner
from tasks.training.loop import OrdinarySteps, fit
from tasks.training.step import Attachment, Streams, batch_loss

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.filterwarnings("default"),  # torch may say more on a GPU than has been seen
]
GPU, CPU = torch.device("cuda"), torch.device("cpu")
EPOCHS = 4
IDS = np.arange(24)
OBJECTIVES = [RankingObjective(detach_after=0.5), DivergenceObjective(), ListwiseObjective()]


@pytest.fixture(scope="session")
def on(cache: Path) -> Callable[[str, torch.device], Task[Any, Any]]:
    """The tiny task of a kind on a device."""
    prepare()
    tasks: dict[tuple[str, str], Task[Any, Any]] = {}

    def of(kind: str, device: torch.device) -> Task[Any, Any]:
        if (kind, device.type) not in tasks:
            tasks[kind, device.type] = built(kind, cache, device)
        return tasks[kind, device.type]

    return of


def changed(task: Task[Any, Any], **recipe: object) -> Task[Any, Any]:
    """The task under another recipe."""
    other = copy.copy(task)
    other.settings = with_recipe(task.settings, {"epochs": EPOCHS, "batch": 8, **recipe})
    return other


def untrained(task: Task[Any, Any]) -> tuple[Any, list[Attachment]]:
    """A model and its loss predictors, the same on every device."""
    torch.manual_seed(0)
    device = task.unlabeled.device
    model = task.build_model().placed(device)
    with torch.no_grad():
        outputs = model(task.unlabeled.inputs(IDS[:2]))
    modules = [objective.build([tap.cpu() for tap in outputs.read_by(objective)]) for objective in OBJECTIVES]
    return model.train(), [
        Attachment(objective, module.to(device).train(), detached=number > 0)
        for number, (objective, module) in enumerate(zip(OBJECTIVES, modules, strict=True))
    ]


def streams(device: torch.device, rate: float = 0.0) -> Streams:
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    return Streams(rngs[0], rngs[1], Dropout.of(rate, rngs[2], device) if rate else None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_loss_is_the_processors(kind: str, on: Callable[..., Task[Any, Any]]) -> None:
    totals, losses = [], []
    for device in (CPU, GPU):
        task = on(kind, device)
        model, attachments = untrained(task)
        inputs, targets = task.augmented(IDS, np.random.default_rng(0))
        totals.append(batch_loss(task, model, inputs, targets, attachments).item())
        with torch.no_grad():
            raw = model(inputs).raw
        losses.append(task.unlabeled.losses(raw, targets).cpu())
    assert totals[1] == pytest.approx(totals[0], rel=1e-3, abs=1e-3)
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-3, atol=1e-3)


def weights(task: Task[Any, Any], rate: float, capture: bool | None) -> tuple[list[Tensor], DeviceSteps | None]:
    """All that is trained; by captured steps, by the same ones operation by operation, or (None) by ordinary ones."""
    model, attachments = untrained(task)
    if capture is None:
        steps = OrdinarySteps(task, model, IDS, attachments, streams(GPU, rate))
    else:
        steps = DeviceSteps.of(task, model, IDS, attachments, streams(GPU, rate))  # pyright: ignore[reportArgumentType]
        if capture:
            steps.capture()
    for epoch in range(EPOCHS):
        assert int(steps.epoch(epoch / EPOCHS)) == -1
    return _values(model, attachments), steps if isinstance(steps, DeviceSteps) else None


def _values(model: nn.Module, attachments: Sequence[Attachment]) -> list[Tensor]:
    """All weights, on the CPU; the counts of batches are whole numbers, and must be equal."""
    modules = (model, *(each.module for each in attachments))
    return [value.detach().double().cpu() for module in modules for value in module.state_dict().values()]


RECIPES: list[dict[str, object]] = [
    {"optimizer": "sgd", "schedule": "steps", "milestones": (0.5,), "learning_rate": 0.01},
    {"optimizer": "sgd", "schedule": "one-cycle", "learning_rate": 0.01},
    {"optimizer": "adamw", "schedule": "one-cycle", "learning_rate": 1e-3},
    {"optimizer": "adamw", "schedule": "steps", "learning_rate": 1e-3},
    {"optimizer": "rmsprop", "schedule": "steps", "learning_rate": 1e-4},
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: f"{recipe['optimizer']}-{recipe['schedule']}")
@pytest.mark.parametrize("kind", KINDS)
def test_captured_steps_train_as_those_that_are_not(
    kind: str, recipe: dict[str, object], on: Callable[..., Task[Any, Any]]
) -> None:
    if kind != KINDS[0] and recipe is not RECIPES[0] and recipe is not RECIPES[2]:
        pytest.skip("one kind is enough for the other optimizers")
    task = changed(on(kind, GPU), **recipe)
    captured, steps = weights(task, 0.2, capture=True)
    assert steps is not None
    assert len(steps._launches) == 2, "one graph before the taps are detached, and one after"
    start = weights(changed(on(kind, GPU), **recipe, epochs=EPOCHS), 0.2, capture=False)[0]
    adaptive = (
        recipe["optimizer"] != "sgd"
    )  # divides by the size of gradients, so that rounding counts where they are small
    untouched = _values(*untrained(task))
    moved = torch.cat([(other - before).flatten() for other, before in zip(start, untouched, strict=True)])
    apart = torch.cat([(mine - other).flatten() for mine, other in zip(captured, start, strict=True)])
    # Rounding of 1e-6 in the gradients moves these weights apart by up to .21 (SGD) and .35 (adaptive) of their way.
    assert float(apart.norm() / moved.norm()) < (0.6 if adaptive else 0.3)
    if not adaptive and kind == KINDS[0]:
        for mine, other in zip(captured, weights(task, 0.0, capture=None)[0], strict=True):
            assert mine.shape == other.shape


def test_a_capture_changes_nothing(on: Callable[..., Task[Any, Any]]) -> None:
    task = changed(on("classification", GPU), optimizer="sgd", schedule="steps", learning_rate=0.01)
    model, attachments = untrained(task)
    chance = streams(GPU, 0.2)
    modules = (model, *(each.module for each in attachments))
    before = [value.clone() for module in modules for value in module.state_dict().values()]
    assert chance.dropout is not None
    state = chance.dropout.generator.get_state()
    steps = DeviceSteps.of(task, model, IDS, attachments, chance)  # pyright: ignore[reportArgumentType]
    steps.capture()
    after = [value for module in modules for value in module.state_dict().values()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert torch.equal(chance.dropout.generator.get_state(), state)
    for launch in steps._launches.values():
        launch()
    assert not torch.equal(before[0], next(iter(model.state_dict().values()))), "a graph trains"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_is_captured_and_its_learner_evaluated(
    kind: str, precision: str, on: Callable[..., Task[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(loop, "notice", said.append)
    loop.say_once.cache_clear()
    task = changed(on(kind, GPU), precision=precision)
    model, attachments = untrained(task)
    fit(task, model, np.arange(23), attachments, streams(GPU))
    assert said == []
    batch = images_at_once(GPU, task.unlabeled.size)
    learner = Learner(task.unlabeled, model.eval(), attachments[0].module.eval(), precision=precision, batch=batch)
    found = evaluate(task, learner, task.test_ids)
    assert np.isfinite(list(found.values())).all()


def test_stored_images_and_rows_move_to_the_gpu() -> None:
    squares = np.random.default_rng(0).integers(0, 255, (10, 3, 4, 4)).astype(np.uint8)
    moved = StoredSquares((squares[:6], squares[6:])).to(GPU)
    assert isinstance(moved, Tensor)
    assert torch.equal(moved.cpu(), torch.from_numpy(squares))
    rows = np.arange(40, dtype=np.float16).reshape(10, 4)
    store = FeatureStore((rows[:6], rows[6:]), 5)
    resident = store.to(GPU)
    assert isinstance(resident, ResidentRows)
    ids, views = np.array([4, 0, 3]), np.array([0, 1, 1])
    assert torch.equal(resident.rows(ids, views).cpu(), store.rows(ids, views))
