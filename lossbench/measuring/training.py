"""Measures how fast a protocol trains: images per second, compared with the bare model and with matrix products."""

from __future__ import annotations

import copy
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lossbench.config import LossPrediction, Protocol
from lossbench.paths import Paths
from lossbench.running.kept.models import ranking_objective
from tasks.base import Task
from tasks.kinds import build_task
from tasks.memory import images_at_once
from tasks.notices import notice
from tasks.training.clock import Clock
from tasks.training.device.steps import CaptureError, DeviceSteps, Epoch, not_captured
from tasks.training.learner import Learner
from tasks.training.optimizers import Rates, device_optimizer, optimizer, scheduled_rates
from tasks.training.step import Attachment, TrainingStep

PHASES = ("data", "forward", "backward", "optimizer")
"""Of a training step: augmented batch; forward pass with per-image losses and lossnet; backward pass; optimizers."""
WARM_UP = 3
"""Steps before those that are measured."""
STEPS_PER_WAIT = {"cpu": 1, "cuda": 20}
"""Steps between two synchronizations with the device; the training loop synchronizes once per epoch."""
MATRIX_SIDE = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the matrices whose product is timed."""


@dataclass(frozen=True)
class StepSpeed:
    """Medians of one way to make steps."""

    seconds: float
    """Per step."""
    bare_seconds: float
    """Per step of the model without lossnet, on a batch of random numbers that is already in memory."""
    phase_seconds: dict[str, float]
    """Per step by phase."""

    @property
    def relative_to_bare(self) -> float:
        """Speed as a share of the bare model's."""
        return self.bare_seconds / self.seconds


@dataclass(frozen=True)
class TrainingSpeed:
    """Speed of training: medians over steps."""

    batch: int
    """Images per step."""
    ordinary: StepSpeed
    """Of steps that the processor prepares one by one. On CUDA, phases add up to more, as each is waited for."""
    device: StepSpeed | None
    """Of steps whose data lie on the device; None where there are none. Phases are differences of steps that end early."""
    inference_seconds: float
    """Seconds per image during a selection: reading, forward pass, prediction of losses."""
    operations: float
    """Floating-point operations per step, as torch counts them: convolutions and matrix products."""
    matrix_rate: float
    """Floating-point operations per second of a large matrix product in the protocol's precision."""
    steps: int
    """How many steps were measured."""


class TrainingSteps:
    """The steps that are timed, on one model and one batch of images.

    Args:
        task: the task to train on.
        loss_prediction: how lossnet is trained beside the model.
    """

    def __init__(self, task: Task[Any, Any], loss_prediction: LossPrediction) -> None:
        recipe, device = task.recipe, task.unlabeled.device
        self.task, self.clock = task, Clock(device)
        self.ids = np.arange(min(recipe.batch, task.pool_size))
        self.model = task.build_model().placed(device).train()
        with torch.no_grad():
            taps, _ = self.model.trunk(task.unlabeled.inputs(self.ids[:2]))
        objective = ranking_objective(loss_prediction)
        self.attachment = Attachment(objective, objective.build(taps).to(device), detached=False)
        self._augmentation = np.random.default_rng(0)
        optimizers = [optimizer(recipe, trained.parameters()) for trained in (self.model, self.attachment.module)]
        self._step = TrainingStep(task, self.model, [self.attachment], optimizers)
        self._bare = TrainingStep(task, self.model, (), optimizers[:1])
        most = min(images_at_once(device, task.unlabeled.size), task.pool_size)
        self._candidates = np.arange(len(self.ids) if device.type == "cpu" else most)
        module, precision = self.attachment.module, recipe.precision
        self._learner = Learner(
            task.unlabeled, self.model, module, precision=precision, batch=len(self._candidates), clock=self.clock
        )
        self._random = torch.randn_like(task.unlabeled.inputs(self.ids)), task.targets(self.ids)

    def full(self) -> None:
        """One step of the training loop: model and lossnet, on an augmented batch."""
        with self.clock.phase("data"):
            batch = self.task.augmented(self.ids, self._augmentation)
        self._timed(self._step, *batch)

    def bare(self) -> None:
        """One step of the model alone, on a batch of random numbers."""
        self._timed(self._bare, *self._random)

    def inference(self) -> None:
        """One batch during a selection: reading, forward pass, prediction of losses."""
        self._learner.predicted_losses(self._learner.lossnet, self._candidates)

    @property
    def candidates(self) -> int:
        """Images of one batch during a selection."""
        return len(self._candidates)

    def seconds_per_step(self, step: Callable[[], None]) -> float:
        """Run a step `STEPS_PER_WAIT` times without synchronizing in between, and divide the time by this number."""
        synchronizing, self.clock = self.clock, Clock()
        count = STEPS_PER_WAIT[self.task.unlabeled.device.type]
        with synchronizing.phase("steps"):
            for _ in range(count):
                step()
        self.clock = synchronizing
        return synchronizing.seconds.pop("steps") / count

    def seconds_by_phase(self, step: Callable[[], None]) -> dict[str, float]:
        """Run a step once and time its phases."""
        self.clock.seconds.clear()
        step()
        return dict(self.clock.seconds)

    def device_steps(self, ending: type[TrainingStep], *, bare: bool = False) -> DeviceSteps:
        """Steps whose data lie on the device, as many as are made without synchronizing; captured on a GPU.

        Args:
            ending: how far a step goes.
            bare: the model alone, on a batch of random numbers.

        Raises:
            CaptureError: they cannot be captured.
        """
        task: Any = copy.copy(self.task)
        device, attachments = task.unlabeled.device, () if bare else (self.attachment,)
        rates = Rates.of(task.recipe, device)
        learned = (self.model, *(each.module for each in attachments))
        optimizers = [device_optimizer(task.recipe, module.parameters(), rates) for module in learned]
        count = STEPS_PER_WAIT[device.type]
        drawn = [task.drawn(self.ids, self._augmentation, padded=True) for _ in range(count)]
        schedule = np.array([next(scheduled_rates(task.recipe, 1))] * count, np.float32)
        epoch = Epoch(tuple(np.stack(arrays) for arrays in zip(*drawn, strict=True)), schedule)
        if bare:
            task.batch = lambda _: self._random
        steps = DeviceSteps(task, ending(task, self.model, attachments, optimizers), rates, repeat(epoch))
        if device.type == "cuda":
            steps.capture()
        return steps

    def _timed(self, step: TrainingStep, inputs: Tensor, targets: Any) -> None:
        with self.clock.phase("forward"):
            total = step.loss(inputs, targets, 0.0)
        with self.clock.phase("backward"):
            step.backward(total)
        with self.clock.phase("optimizer"):
            step.update()


class _Data(TrainingStep):
    """A step that ends when its batch is made."""

    def __call__(self, inputs: Tensor, targets: Any, progress: float) -> Tensor:  # noqa: ARG002
        return inputs.flatten()[0]


class _Forward(TrainingStep):
    """A step that ends with the loss."""

    def __call__(self, inputs: Tensor, targets: Any, progress: float) -> Tensor:
        return self.loss(inputs, targets, progress).detach()


class _Backward(TrainingStep):
    """A step that ends with the gradients."""

    def __call__(self, inputs: Tensor, targets: Any, progress: float) -> Tensor:
        total = self.loss(inputs, targets, progress)
        self.backward(total)
        return total.detach()


ENDINGS = dict(zip(PHASES, (_Data, _Forward, _Backward, TrainingStep), strict=True))
"""A step that ends with each phase."""


def measure_training(protocol: Protocol, paths: Paths, steps: int) -> TrainingSpeed:
    """Measure a protocol's training.

    Ordinary steps of the training loop and of the bare model alternate, so that other load on the machine slows both
    equally.

    Args:
        protocol: the protocol to measure.
        paths: folders and device.
        steps: how many steps of each type to measure, after `WARM_UP` steps.
    """
    device = torch.device(paths.device)
    task = build_task(protocol.task, paths.data, paths.out / "cache", device)
    timed = TrainingSteps(task, protocol.loss_prediction)
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(WARM_UP + steps):
        for name, step in (("full", timed.full), ("bare", timed.bare)):
            seconds[name].append(timed.seconds_per_step(step))
    by_phase = [timed.seconds_by_phase(timed.full) for _ in range(steps)]
    with FlopCounterMode(display=False) as counter:
        timed.full()
    seconds["inference"] = [timed.seconds_per_step(timed.inference) for _ in range(WARM_UP + steps)]
    medians = {name: statistics.median(values[WARM_UP:]) for name, values in seconds.items()}
    phases = {phase: statistics.median(one[phase] for one in by_phase) for phase in PHASES}
    return TrainingSpeed(
        batch=len(timed.ids),
        ordinary=StepSpeed(medians["full"], medians["bare"], phases),
        device=_device_speed(timed, steps),
        inference_seconds=medians["inference"] / timed.candidates,
        operations=float(counter.get_total_flops()),
        matrix_rate=matrix_rate(device, torch.bfloat16 if protocol.task.recipe.precision == "bf16" else torch.float32),
        steps=steps,
    )


def _device_speed(timed: TrainingSteps, steps: int) -> StepSpeed | None:
    """The speed of steps whose data lie on the device; None where they cannot be captured, which is said."""
    reason = not_captured(timed.task, [timed.attachment])
    if reason is None:
        try:
            ends = [_median(timed, timed.device_steps(ending), steps) for ending in ENDINGS.values()]
            bare = _median(timed, timed.device_steps(TrainingStep, bare=True), steps)
        except CaptureError as error:
            reason = str(error)
        else:
            phases = {phase: end - before for phase, end, before in zip(PHASES, ends, (0.0, *ends), strict=False)}
            return StepSpeed(ends[-1], bare, phases)
    notice(f"no step with its data on the device: {reason}")
    return None


def _median(timed: TrainingSteps, device_steps: DeviceSteps, steps: int) -> float:
    seconds, launch = [], device_steps.launch(0.0)
    for _ in range(WARM_UP + steps):
        device_steps.restart()
        seconds.append(timed.seconds_per_step(launch))
    return statistics.median(seconds[WARM_UP:])


def matrix_rate(device: torch.device, dtype: torch.dtype, repeats: int = 10) -> float:
    """Floating-point operations per second of a product of square matrices: the median over the repeats."""
    side = MATRIX_SIDE[device.type]
    first, second = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    clock, seconds = Clock(device), []
    for _ in range(WARM_UP + repeats):
        clock.seconds.clear()
        with clock.phase("product"):
            torch.mm(first, second)
        seconds.append(clock.seconds["product"])
    return 2 * side**3 / statistics.median(seconds[WARM_UP:])
