"""Steps whose data lie on the device: they train as the ordinary ones, and take nothing from the program."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from tiny_learners import built
from tiny_tasks import KINDS, with_recipe
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import tasks.training.loop as training_loop
import tasks.training.step as training_step
from lossnet import DivergenceObjective, ListwiseObjective, RankingObjective
from tasks.base import Task
from tasks.models.trunks.frozen import FeatureStore, ResidentRows
from tasks.training.device.steps import CaptureError, DeviceSteps, _first_cause, not_captured, planned_epochs
from tasks.training.dropout import Dropout
from tasks.training.loop import OrdinarySteps, TrainingError, fit
from tasks.training.step import Attachment, Streams

CPU, META = torch.device("cpu"), torch.device("meta")
EPOCHS = 4


def changed(task: Task, **recipe: object) -> Task:
    """The task under another recipe."""
    other = copy.copy(task)
    other.settings = with_recipe(task.settings, {"epochs": EPOCHS, "batch": 4, **recipe})
    return other


def streams(rate: float = 0.0) -> Streams:
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    return Streams(rngs[0], rngs[1], Dropout.of(rate, rngs[2], CPU) if rate else None)


def untrained(task: Task, objective: Any = None) -> tuple[Any, list[Attachment]]:
    """A model, and a loss predictor whose taps are detached from half of the training on."""
    torch.manual_seed(0)
    objective = objective or RankingObjective(detach_after=0.5)
    model = task.build_model().placed(CPU)
    with torch.no_grad():
        outputs = model(task.unlabeled.inputs(np.arange(2)))
    module = objective.build(outputs.read_by(objective))
    return model.train(), [Attachment(objective, module.train(), detached=False)]


def trained(kind_of_steps: Any, task: Task, ids: np.ndarray, rate: float = 0.0) -> tuple[list[Tensor], list[int]]:
    """All weights and buffers after some epochs, and what each epoch returned."""
    model, attachments = untrained(task)
    steps = kind_of_steps(task, model, ids, attachments, streams(rate))
    found = [int(steps.epoch(epoch / EPOCHS)) for epoch in range(EPOCHS)]
    modules = (model, attachments[0].module)
    return [value.detach().double() for module in modules for value in module.state_dict().values()], found


def test_they_train_as_the_ordinary_steps(task: Task) -> None:
    plain = changed(task, optimizer="sgd", schedule="steps", milestones=(0.5,), learning_rate=0.01, momentum=0.9)
    ordinary, found = trained(OrdinarySteps, plain, np.arange(12), rate=0.2)
    ours, also_found = trained(DeviceSteps.of, plain, np.arange(12), rate=0.2)
    assert found == also_found == [-1] * EPOCHS
    for mine, other in zip(ours, ordinary, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    start = untrained(plain)[0].state_dict()
    assert not torch.allclose(next(iter(start.values())).double(), ours[0], rtol=1e-3, atol=1e-4), "it has trained"


@pytest.mark.parametrize("count", [12, 11, 2])
def test_batches_have_one_size_and_the_last_one_wraps_around(classification: Task, count: int) -> None:
    task: Any = changed(classification, batch=5)
    ids = np.arange(20, 20 + count)
    (first, second, *_) = planned_epochs(task, ids, streams())
    drawn = first.drawn[0]
    assert drawn.shape == {12: (3, 4), 11: (3, 4), 2: (1, 2)}[count]
    flat = drawn.ravel()
    assert sorted(flat[:count]) == ids.tolist()
    assert flat[count:].tolist() == flat[: len(flat) - count].tolist()
    assert first.rates.shape == (len(drawn), 2)
    assert not np.array_equal(first.drawn[1], second.drawn[1]), "each epoch has an augmentation of its own"


def test_what_is_drawn_beforehand_is_what_the_ordinary_steps_draw(task: Task) -> None:
    small: Any = changed(task)
    ids, rngs = np.arange(12), streams()
    planned = next(planned_epochs(small, ids, streams()))
    order = ids[rngs.order.permutation(12)]
    for step, batch in enumerate(np.array_split(order, 3)):
        inputs, targets = small.augmented(batch, rngs.augmentation)
        ours, our_targets = small.batch(tuple(torch.from_numpy(array[step]) for array in planned.drawn))
        assert torch.equal(inputs, ours)
        losses = [small.unlabeled.losses(head_of(small, ours), each) for each in (targets, our_targets)]
        torch.testing.assert_close(*losses)


def head_of(task: Task, inputs: Tensor) -> Any:
    torch.manual_seed(1)
    with torch.no_grad():
        return task.build_model().eval()(inputs).raw


def test_a_loss_that_is_not_finite_is_found_in_its_step(classification: Task) -> None:
    task: Any = changed(classification)
    model, attachments = untrained(task)
    steps = DeviceSteps.of(task, model, np.arange(12), attachments, streams())
    whole, calls = task.batch, []

    def spoiled(drawn: Any) -> Any:
        calls.append(1)
        inputs, targets = whole(drawn)
        return inputs * (torch.nan if len(calls) >= 5 else 1), targets

    task.batch = spoiled
    assert int(steps.epoch(0.0)) == -1
    assert int(steps.epoch(0.25)) == 1


class OnDevice(TorchDispatchMode):
    """Fails at every operation that touches the processor's memory."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        assert all(tensor.device == META for tensor in tensors), f"{func} is no operation on the device alone"
        return result


def moved(task: Task) -> Task:
    """The task with its images on a device without values, so that nothing can depend on one."""
    moved_task = copy.copy(task)
    moved_task.unlabeled = copy.copy(task.unlabeled)
    unlabeled: Any = moved_task.unlabeled
    unlabeled._pixels = copy.copy(unlabeled._pixels)
    holders = [unlabeled._pixels]
    if hasattr(unlabeled, "reading"):
        unlabeled.reading = copy.copy(unlabeled.reading)
        holders.append(unlabeled.reading)
    for holder in holders:
        tensors = {name: value.to(META) for name, value in vars(holder).items() if isinstance(value, Tensor)}
        vars(holder).update(tensors)
    return moved_task


@pytest.fixture
def without_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch knows no precision of the device without values."""
    changed_torch = SimpleNamespace(**{**vars(torch), "autocast": lambda *_, **__: nullcontext()})
    monkeypatch.setattr(training_step, "torch", changed_torch)


@pytest.mark.usefixtures("without_autocast")
def test_a_step_takes_nothing_from_the_program(task: Task) -> None:
    small: Any = changed(task, optimizer="adamw", schedule="one-cycle")
    objectives = [RankingObjective(), DivergenceObjective(), ListwiseObjective()]
    built = [untrained(small, objective) for objective in objectives]
    attachments = [each for _, attached in built for each in attached]
    for each in attachments:
        each.module.to(META)
    steps = DeviceSteps.of(moved(small), built[0][0].to(META), np.arange(11), attachments, streams())  # pyright: ignore[reportArgumentType]
    with OnDevice():
        for progress in (0.0, 0.9):
            steps.make(progress)


def test_rows_of_a_store_are_the_same_on_the_device() -> None:
    rows = np.arange(40, dtype=np.float16).reshape(10, 4)
    store = FeatureStore((rows[:6], rows[6:]), 5)
    resident = ResidentRows(torch.from_numpy(rows), 5)
    ids, views = np.array([4, 0, 3]), np.array([0, 1, 1])
    assert store.to(CPU) is store
    assert resident.resident
    assert not store.resident
    for view in (0, 1, views):
        assert torch.equal(store.rows(ids, view), resident.rows(ids, view))
        as_tensors = torch.from_numpy(ids), view if isinstance(view, int) else torch.from_numpy(view)
        assert torch.equal(store.rows(ids, view), resident.rows(*as_tensors))


class Strange:
    """An objective that does not say when its loss changes."""

    def build(self, taps: Any) -> Any:
        return RankingObjective().build(taps)

    def loss(self, module: Any, taps: Any, losses: Tensor, progress: float) -> Tensor:
        return RankingObjective().loss(module, taps, losses, progress)


def test_what_cannot_be_captured_is_named(classification: Task, tiny_task: Callable[[str], Task]) -> None:
    def reason(task: Any, objective: Any = None) -> str | None:
        return not_captured(task, [Attachment(objective or RankingObjective(), torch.nn.Identity(), detached=False)])

    assert all(reason(tiny_task(kind)) is None for kind in KINDS)
    assert reason(classification, Strange()) == "Strange has no method `phase`"
    assert "RMSprop" in str(reason(changed(classification, optimizer="rmsprop", schedule="one-cycle")))
    assert "is no DeviceTask" in str(reason(create_autospec(Task, instance=True)))
    image_by_image: Any = copy.copy(tiny_task("detection"))
    image_by_image.unlabeled = copy.copy(image_by_image.unlabeled)
    image_by_image.unlabeled.reading = SimpleNamespace(vectorized=False)
    assert "image by image" in str(reason(image_by_image))


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Training takes the way of a GPU; gives the lines that it says."""
    said: list[str] = []
    monkeypatch.setattr(training_loop, "on_gpu", lambda task: True)
    monkeypatch.setattr(training_loop, "notice", said.append)
    training_loop.say_once.cache_clear()
    yield said
    training_loop.say_once.cache_clear()


def test_a_step_that_cannot_be_captured_is_made_the_ordinary_way_and_that_is_said_once(
    classification: Task, as_on_a_gpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = changed(classification)

    def refused(self: DeviceSteps) -> None:
        raise CaptureError("called a synchronizing CUDA operation")

    def weights() -> list[Tensor]:
        model, attachments = untrained(task)
        fit(task, model, np.arange(11), attachments, streams())
        return [value.clone() for value in model.state_dict().values()]

    monkeypatch.setattr(DeviceSteps, "capture", refused)
    fallen_back = weights(), weights()
    assert as_on_a_gpu == [
        "training steps are launched one by one, not as a CUDA graph: called a synchronizing CUDA operation"
    ]
    monkeypatch.setattr(training_loop, "on_gpu", lambda task: False)
    for ways in zip(*fallen_back, weights(), strict=True):
        assert torch.equal(ways[0], ways[2]), "random streams are those of a training that was never captured"


@pytest.mark.usefixtures("as_on_a_gpu")
def test_training_on_a_gpu_names_the_first_step_that_is_not_finite(
    classification: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    task: Any = changed(classification, epochs=3)
    monkeypatch.setattr(DeviceSteps, "capture", lambda self: None)
    whole, calls = task.batch, []

    def spoiled(drawn: Any) -> Any:
        calls.append(len(drawn[0]))
        inputs, targets = whole(drawn)
        return inputs * (torch.nan if len(calls) == 5 else 1), targets

    task.batch = spoiled
    with pytest.raises(TrainingError, match=r"^the training loss is not finite at step 4 of 9$"):
        fit(task, task.build_model(), np.arange(11), [], streams())
    assert calls == [4] * 6, "batches of one size; it stops with the epoch"


def test_the_first_of_several_faults_is_said_with_its_place() -> None:
    def fail() -> None:
        try:
            msg = "a wait for the device\nand more"
            raise ValueError(msg)
        finally:
            raise RuntimeError  # as the end of a capture does

    with pytest.raises(RuntimeError) as caught:
        fail()
    assert re.fullmatch(r"a wait for the device \(test_steps\.py, line \d+\)", _first_cause(caught.value))


def test_captures_can_be_turned_off(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = built("classification", cache, torch.device("cpu"))
    assert not_captured(task, []) is None
    monkeypatch.setenv("LOSSBENCH_NO_GRAPH", "1")
    assert not_captured(task, []) == "LOSSBENCH_NO_GRAPH is set"
