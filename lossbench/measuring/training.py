"""Measures how fast a protocol trains: images per second, compared with the bare model and with matrix products."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.table import Column, Table
from torch.utils.flop_counter import FlopCounterMode

from leaderboard.scoring.entries import Hardware
from lossbench.config import LossPrediction, Protocol
from lossbench.paths import Paths
from lossbench.running.machine import describe
from lossbench.running.model_cache import ranking_objective
from tasks.base import Task
from tasks.kinds import build_task
from tasks.training.clock import Clock
from tasks.training.learner import Learner
from tasks.training.optimizers import optimizer
from tasks.training.step import Attachment, Streams, batch_loss

PHASES = ("data", "forward", "backward", "optimizer")
"""Of a training step: augmented batch; forward pass with per-image losses and lossnet; backward pass; optimizers."""
WARM_UP = 3
"""Steps before those that are measured."""
STEPS_PER_WAIT = {"cpu": 1, "cuda": 20}
"""Steps between two synchronizations with the device; the training loop synchronizes once per epoch."""
MATRIX_SIDE = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the matrices whose product is timed."""


@dataclass(frozen=True)
class TrainingSpeed:
    """Speed of training: medians over steps."""

    batch: int
    """Images per step."""
    step_seconds: float
    """Seconds per step of the training loop."""
    phase_seconds: dict[str, float]
    """Seconds per step by phase. On CUDA their sum exceeds `step_seconds`, as every phase is synchronized."""
    bare_seconds: float
    """Seconds per step of the model without lossnet, on a batch of random numbers that is already in memory."""
    inference_seconds: float
    """Seconds per batch during a selection: reading, forward pass, prediction of losses."""
    operations: float
    """Floating-point operations per step, as torch counts them: convolutions and matrix products."""
    matrix_rate: float
    """Floating-point operations per second of a large matrix product in the protocol's precision."""
    steps: int
    """How many steps were measured."""

    @property
    def images_per_second(self) -> float:
        """Images per second of the training loop."""
        return self.batch / self.step_seconds

    @property
    def relative_to_bare(self) -> float:
        """Speed of the training loop as a share of the bare model's speed."""
        return self.bare_seconds / self.step_seconds

    @property
    def operations_per_second(self) -> float:
        """Floating-point operations per second of the training loop."""
        return self.operations / self.step_seconds


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
        self._streams = Streams(np.random.default_rng(0), np.random.default_rng(0))
        self.model = task.build_model().placed(device).train()
        with torch.no_grad():
            taps, _ = self.model.trunk(task.unlabeled.inputs(self.ids[:2]))
        objective = ranking_objective(loss_prediction)
        self.attachment = Attachment(objective, objective.build(taps).to(device), detached=False)
        module, precision = self.attachment.module, recipe.precision
        self._optimizers = [optimizer(recipe, trained.parameters()) for trained in (self.model, module)]
        self._learner = Learner(task.unlabeled, self.model, module, precision=precision, batch=len(self.ids))
        self._images = torch.randn_like(task.unlabeled.inputs(self.ids))
        self._targets = task.targets(self.ids)

    def full(self) -> None:
        """One step of the training loop: model and lossnet, on an augmented batch."""
        with self.clock.phase("data"):
            images, targets = self.task.augmented(self.ids, self._streams.augmentation)
        with self.clock.phase("forward"):
            loss = batch_loss(self.task, self.model, images, targets, [self.attachment])
        self._update(loss, self._optimizers)

    def bare(self) -> None:
        """One step of the model alone, on a batch of random numbers."""
        with self.clock.phase("forward"):
            loss = batch_loss(self.task, self.model, self._images, self._targets)
        self._update(loss, self._optimizers[:1])

    def inference(self) -> None:
        """One batch during a selection: reading, forward pass, prediction of losses."""
        self._learner.predicted_losses(self._learner.lossnet, self.ids)

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

    def _update(self, loss: torch.Tensor, optimizers: list[torch.optim.Optimizer]) -> None:
        with self.clock.phase("backward"):
            for one in optimizers:
                one.zero_grad(set_to_none=True)
            loss.backward()
        with self.clock.phase("optimizer"):
            for one in optimizers:
                one.step()


def measure_training(protocol: Protocol, paths: Paths, steps: int) -> TrainingSpeed:
    """Measure a protocol's training.

    Steps of the training loop and of the bare model alternate, so that other load on the machine slows both equally.

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
    return TrainingSpeed(
        batch=len(timed.ids),
        step_seconds=medians["full"],
        phase_seconds={phase: statistics.median(one[phase] for one in by_phase) for phase in PHASES},
        bare_seconds=medians["bare"],
        inference_seconds=medians["inference"],
        operations=float(counter.get_total_flops()),
        matrix_rate=matrix_rate(device, torch.bfloat16 if protocol.task.recipe.precision == "bf16" else torch.float32),
        steps=steps,
    )


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


def speed_table(protocol: Protocol, speed: TrainingSpeed, paths: Paths) -> Table:
    """A table of a protocol's speed, with the machine in its caption."""
    machine = Hardware.of(describe(torch.device(paths.device)))
    precision = protocol.task.recipe.precision
    caption = f"{protocol.name} on {machine}; batch {speed.batch}, {precision}, medians of {speed.steps} steps"
    table = Table(Column(no_wrap=True), Column(justify="right"), caption=caption, show_header=False, min_width=70)
    total = sum(speed.phase_seconds.values())
    relative_to_matrices = speed.operations_per_second / speed.matrix_rate
    rows = {
        "training, images/s": f"{speed.images_per_second:,.0f}",
        "as a share of the bare model's speed": f"{speed.relative_to_bare:.0%}",
        **{f"share of time: {phase}": f"{speed.phase_seconds[phase] / total:.0%}" for phase in PHASES},
        "inference for selection, images/s": f"{speed.batch / speed.inference_seconds:,.0f}",
        "training, GFLOP/s": f"{speed.operations_per_second / 1e9:,.1f}",
        "as a share of a matrix product's rate": f"{relative_to_matrices:.0%} of {speed.matrix_rate / 1e9:,.0f}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
