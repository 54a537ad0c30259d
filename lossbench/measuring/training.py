"""How fast a protocol trains here: images a second, beside the bare model and the machine's matrix rate, and in what."""

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
from tasks.training.loop import Attachment, Streams, batch_loss, optimizer

PHASES = ("data", "forward", "backward", "optimizer")
WARM_UP = 3
"""Steps that are not counted."""
TOGETHER = {"cpu": 1, "cuda": 20}
"""Steps between two waits for the device: the loop waits once an epoch."""
MATRIX_SIDE = {"cpu": 1024, "cuda": 8192}


@dataclass(frozen=True)
class Speed:
    """Medians over steps."""

    batch: int
    step_seconds: float
    """Of one step of the loop."""
    seconds: dict[str, float]
    """Of one step by phase: augmented batch, forward with per-image losses and lossnet, backward, optimizers. On CUDA they
    add up to more than a step, as each is waited for."""
    bare_seconds: float
    """Of one step of the model alone, on a batch of random numbers that lies in memory."""
    read_seconds: float
    """Of one batch as strategies see it: read, forwarded, its losses predicted."""
    operations: float
    """Floating-point operations of one step, as torch counts them: convolutions and matrix products."""
    matrix_rate: float
    """Floating-point operations a second in a product of large square matrices, in the protocol's precision."""
    steps: int

    @property
    def rate(self) -> float:
        """Images a second that the loop trains on."""
        return self.batch / self.step_seconds

    @property
    def of_bare(self) -> float:
        """The loop's speed over that of the bare model."""
        return self.bare_seconds / self.step_seconds

    @property
    def operations_per_second(self) -> float:
        """What the loop achieves."""
        return self.operations / self.step_seconds


class Steps:
    """The loop's step and the bare one, on the same model and images."""

    def __init__(self, task: Task[Any, Any], loss_prediction: LossPrediction) -> None:
        recipe, device = task.recipe, task.unlabeled.device
        self.task, self.clock = task, Clock(device)
        self.ids = np.arange(min(recipe.batch, task.pool_size))
        self._streams = Streams(np.random.default_rng(0), np.random.default_rng(0))
        self.model = task.build_model().placed(device).train()
        with torch.no_grad():
            taps, _ = self.model.trunk(task.unlabeled.images(self.ids[:2]))
        objective = ranking_objective(loss_prediction)
        self.attachment = Attachment(objective, objective.build(taps).to(device), detached=False)
        self._optimizers = [optimizer(recipe, each.parameters()) for each in (self.model, self.attachment.module)]
        module, precision = self.attachment.module, recipe.precision
        self._learner = Learner(task.unlabeled, self.model, module, precision=precision, batch=len(self.ids))
        self._images = torch.randn_like(task.unlabeled.images(self.ids))
        self._targets = task.targets(self.ids)

    def full(self) -> None:
        """One step as the loop makes it."""
        with self.clock.phase("data"):
            images, targets = self.task.augmented(self.ids, self._streams.augmentation)
        with self.clock.phase("forward"):
            loss = batch_loss(self.task, self.model, images, targets, [self.attachment])
        self._step(loss, self._optimizers)

    def bare(self) -> None:
        """One step of the model alone."""
        with self.clock.phase("forward"):
            loss = batch_loss(self.task, self.model, self._images, self._targets)
        self._step(loss, self._optimizers[:1])

    def read(self) -> None:
        """One batch as strategies see it."""
        self._learner.predicted_losses(self._learner.lossnet, self.ids)

    def timed(self, step: Callable[[], None]) -> float:
        """Seconds of a step."""
        waiting, self.clock = self.clock, Clock()
        count = TOGETHER[self.task.unlabeled.device.type]
        with waiting.phase("steps"):
            for _ in range(count):
                step()
        self.clock = waiting
        return waiting.seconds.pop("steps") / count

    def _step(self, loss: torch.Tensor, optimizers: list[torch.optim.Optimizer]) -> None:
        with self.clock.phase("backward"):
            for each in optimizers:
                each.zero_grad(set_to_none=True)
            loss.backward()
        with self.clock.phase("optimizer"):
            for each in optimizers:
                each.step()


def measured(protocol: Protocol, paths: Paths, steps: int) -> Speed:
    """The speed of a protocol's training; the two kinds of step take turns, so that a busy machine slows both."""
    device = torch.device(paths.device)
    task = build_task(protocol.task, paths.data, paths.out / "cache", device)
    made = Steps(task, protocol.loss_prediction)
    spent: dict[str, list[float]] = defaultdict(list)
    for _ in range(WARM_UP + steps):
        for name, step in (("full", made.full), ("bare", made.bare)):
            spent[name].append(made.timed(step))
    phases = [_seconds(made.clock, made.full) for _ in range(steps)]
    with FlopCounterMode(display=False) as counter:
        made.full()
    spent["read"] = [made.timed(made.read) for _ in range(WARM_UP + steps)]
    medians = {name: statistics.median(each[WARM_UP:]) for name, each in spent.items()}
    return Speed(
        batch=len(made.ids),
        step_seconds=medians["full"],
        seconds={phase: statistics.median(each[phase] for each in phases) for phase in PHASES},
        bare_seconds=medians["bare"],
        read_seconds=medians["read"],
        operations=float(counter.get_total_flops()),
        matrix_rate=matrix_rate(device, torch.bfloat16 if protocol.task.recipe.precision == "bf16" else torch.float32),
        steps=steps,
    )


def _seconds(clock: Clock, step: Callable[[], None]) -> dict[str, float]:
    clock.seconds.clear()
    step()
    return dict(clock.seconds)


def matrix_rate(device: torch.device, dtype: torch.dtype, repeats: int = 10) -> float:
    """Floating-point operations a second of a square matrix product; the median of some."""
    side = MATRIX_SIDE[device.type]
    first, second = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    clock, spent = Clock(device), []
    for _ in range(WARM_UP + repeats):
        clock.seconds.clear()
        with clock.phase("product"):
            torch.mm(first, second)
        spent.append(clock.seconds["product"])
    return 2 * side**3 / statistics.median(spent[WARM_UP:])


def shown(protocol: Protocol, speed: Speed, paths: Paths) -> Table:
    """The speed for people."""
    machine = Hardware.of(describe(torch.device(paths.device)))
    precision = protocol.task.recipe.precision
    title = f"{protocol.name} on {machine}; batch {speed.batch}, {precision}, medians of {speed.steps} steps"
    table = Table(Column(no_wrap=True), Column(justify="right"), caption=title, show_header=False, min_width=70)
    whole = sum(speed.seconds.values())
    rows = {
        "training, images/s": f"{speed.rate:,.0f}",
        "of the bare model's speed": f"{speed.of_bare:.0%}",
        **{f"share of {phase}": f"{speed.seconds[phase] / whole:.0%}" for phase in PHASES},
        "reading for selection, images/s": f"{speed.batch / speed.read_seconds:,.0f}",
        "operations, GFLOP/s": f"{speed.operations_per_second / 1e9:,.1f}",
        "of the matrix rate": f"{speed.operations_per_second / speed.matrix_rate:.0%} of {speed.matrix_rate / 1e9:,.0f}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
