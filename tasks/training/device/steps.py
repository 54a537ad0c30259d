"""Training steps whose data lie on the device: of a GPU one launch each, of a graph that is captured beforehand."""

from __future__ import annotations

import math
import os
import traceback
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from tasks.base import Ids, TapModel, Task
from tasks.training.device.task import DeviceTask
from tasks.training.optimizers import Rates, device_optimizer, scheduled_rates, steps_on_device
from tasks.training.step import Attachment, Phased, Streams, TrainingStep

NO_GRAPH = "LOSSBENCH_NO_GRAPH"
"""A variable of the environment under which no step is captured. After a failed capture torch may refuse to draw on the device."""
REHEARSALS = 3
"""Steps before a capture: kernels are chosen, and what the optimizers keep is made."""


class CaptureError(Exception):
    """A step cannot be captured; the message says why in a line."""


class Epoch(NamedTuple):
    """All that the steps of an epoch read, beside images and weights."""

    drawn: tuple[NDArray[Any], ...]
    """As `DeviceTask.drawn` gives it, each (steps, images of a batch, ...)."""
    rates: Float[np.ndarray, "steps 2"]
    """Learning rate and momentum."""


def planned_epochs(task: DeviceTask[Any, Any], ordered: Ids, streams: Streams) -> Iterator[Epoch]:
    """The epochs of a training, one by one.

    Batches have one size: the last one of an epoch ends with images from the start of its order, fewer than there are
    batches. Where the images divide evenly into batches, these and what is drawn for them are those of the ordinary steps.

    Args:
        task: to train on.
        ordered: the labeled ids, sorted.
        streams: of the training.
    """
    recipe = task.recipe
    per_epoch = recipe.batches(len(ordered))
    size = math.ceil(len(ordered) / per_epoch)
    rates = scheduled_rates(recipe, per_epoch)
    for _ in range(recipe.epochs):
        order = ordered[streams.order.permutation(len(ordered))]
        batches = np.resize(order, (per_epoch, size))  # repeats from the start
        drawn = [task.drawn(ids, streams.augmentation, padded=True) for ids in batches]
        stacked = tuple(np.stack(arrays) for arrays in zip(*drawn, strict=True))
        yield Epoch(stacked, np.array([*islice(rates, per_epoch)], np.float32))


def not_captured(task: Task[Any, Any], attachments: Sequence[Attachment]) -> str | None:
    """Why steps of such a training cannot be captured, in a line; None where they can."""
    if os.environ.get(NO_GRAPH):
        return f"{NO_GRAPH} is set"
    strange = [each.objective for each in attachments if not isinstance(each.objective, Phased)]
    if not isinstance(task, DeviceTask):
        return f"{type(task).__name__} is no DeviceTask"
    if not task.unlabeled.capturable:
        return "the data do not fit the device's memory, or losses are computed image by image"
    if not steps_on_device(task.recipe):
        return "RMSprop has no momentum that changes on the device; use another schedule than one-cycle"
    return f"{type(strange[0]).__name__} has no method `phase`" if strange else None


class DeviceSteps:
    """The steps of a training. Each makes its batch on the device, from the arrays of an epoch that are there.

    A counter on the device says which batch comes next, so that a step takes nothing from the program: it can be
    captured in a CUDA graph and launched again and again. While the device works on an epoch, the next one is drawn.

    Args:
        task: to train on.
        step: with optimizers that read `rates`.
        rates: on the device.
        planned: the epochs, as they are asked for.
    """

    def __init__(self, task: DeviceTask[Any, Any], step: TrainingStep, rates: Rates, planned: Iterator[Epoch]) -> None:
        device = task.unlabeled.device
        self._task, self._step, self._rates, self._planned = task, step, rates, planned
        self._next = next(planned)
        self._drawn = tuple(torch.from_numpy(array).to(device) for array in self._next.drawn)
        self._schedule = torch.from_numpy(self._next.rates).to(device)
        self._place = torch.zeros(1, dtype=torch.long, device=device)
        self._first_bad = torch.full((1,), -1, device=device)
        self._launches: dict[Hashable, Callable[[], None]] = {}

    @classmethod
    def of(
        cls,
        task: DeviceTask[Any, Any],
        model: TapModel,
        ordered: Ids,
        attachments: Sequence[Attachment],
        streams: Streams,
    ) -> DeviceSteps:
        """The steps of a training; arguments as for `fit`, with sorted ids."""
        rates = Rates.of(task.recipe, task.unlabeled.device)
        learned = (model, *(attachment.module for attachment in attachments))
        optimizers = [device_optimizer(task.recipe, module.parameters(), rates) for module in learned]
        step = TrainingStep(task, model, attachments, optimizers, streams.dropout)
        return cls(task, step, rates, planned_epochs(task, ordered, streams))

    def epoch(self, progress: float) -> Int[Tensor, ""]:
        """Make all steps of the next epoch; returns the number of the first whose loss is not finite, or -1.

        Args:
            progress: share of the epochs that are done.
        """
        self._load(self._next)
        launch = self.launch(progress)
        for _ in range(len(self._schedule)):
            launch()
        self._next = next(self._planned, self._next)
        return self._first_bad[0]

    def restart(self) -> None:
        """Begin the epoch that lies on the device anew."""
        self._place.zero_()

    def _load(self, epoch: Epoch) -> None:
        for buffer, array in zip((*self._drawn, self._schedule), (*epoch.drawn, epoch.rates), strict=True):
            buffer.copy_(torch.from_numpy(array))
        self.restart()

    def launch(self, progress: float) -> Callable[[], None]:
        """What makes the next step of the epoch."""
        return self._launches.get(self._phase(progress), partial(self.make, progress))

    def make(self, progress: float) -> None:
        """Make the next step of the epoch, operation by operation."""
        rates = self._schedule.index_select(0, self._place).squeeze(0)
        self._rates.learning_rate.copy_(rates[0])
        self._rates.momentum.copy_(rates[1])
        drawn = tuple(array.index_select(0, self._place).squeeze(0) for array in self._drawn)
        total = self._step(*self._task.batch(drawn), progress)
        bad = ~torch.isfinite(total) & (self._first_bad < 0)
        self._first_bad.copy_(torch.where(bad, self._place, self._first_bad))
        self._place.add_(1)

    def capture(self) -> None:
        """Capture the step of every phase in a CUDA graph. Weights and random streams stay as they are.

        Raises:
            CaptureError: the step waits for the device, or does what a graph cannot hold.
        """
        epochs = self._task.recipe.epochs
        phases: dict[Hashable, float] = {}
        for epoch in range(epochs):
            phases.setdefault(self._phase(epoch / epochs), epoch / epochs)
        device = self._task.unlabeled.device
        with torch.cuda.device(device), self._unchanged():  # restored on the stream of before, also after a fault
            try:
                with torch.cuda.stream(torch.cuda.current_stream()):
                    self._rehearse(list(phases.values()))
                    self._launches = {phase: self._graph(progress).replay for phase, progress in phases.items()}
            except RuntimeError as error:  # of torch: a wait, an operation that no graph holds, or too little memory
                self._launches = {}
                with suppress(RuntimeError):
                    torch.cuda.synchronize()
                raise CaptureError(_first_cause(error)) from None

    def _phase(self, progress: float) -> Hashable:
        objectives = [attachment.objective for attachment in self._step.attachments]
        return tuple(each.phase(progress) if isinstance(each, Phased) else progress for each in objectives)

    def _rehearse(self, shares: Sequence[float]) -> None:
        """Make steps on a stream of its own, as torch asks for before a capture; the last of each must not wait."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for progress in shares:
                for last in (False,) * (REHEARSALS - 1) + (True,):
                    self.restart()
                    with _waits_are_errors(last):
                        self.make(progress)
        torch.cuda.current_stream().wait_stream(stream)

    def _graph(self, progress: float) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        if self._step.dropout is not None:
            graph.register_generator_state(self._step.dropout.generator)
        for each in self._step.optimizers:
            each.zero_grad(set_to_none=True)  # gradients belong to the memory of their graph
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.make(progress)
        return graph

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """What is trained, counted and drawn in this block leaves no trace; torch's advice about it is not shown."""
        tensors = [self._place, self._first_bad]
        for module in self._step.learned:
            tensors += [*module.parameters(), *module.buffers()]
        kept = [tensor.detach().clone() for tensor in tensors]
        generator = self._step.dropout.generator if self._step.dropout else None
        state = generator.get_state() if generator else None
        benchmark = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True  # all batches have one shape
        try:
            with torch.random.fork_rng([torch.cuda.current_device()]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            torch.backends.cudnn.benchmark = benchmark
            if generator is not None and state is not None:
                generator.set_state(state)
            with torch.no_grad():
                for tensor, value in zip(tensors, kept, strict=True):
                    tensor.copy_(value)
                for each in self._step.optimizers:
                    _reset(each)


def _first_cause(error: BaseException) -> str:
    """The first line of the fault that came first, and where; what ends a capture covers it with a fault of its own."""
    while error.__context__ is not None:
        error = error.__context__
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({Path(where[0].filename).name}, line {where[0].lineno})" if where else ""
    return f"{str(error).partition(chr(10))[0]}{place}"


def _reset(optimizer: torch.optim.Optimizer) -> None:
    """Set what an optimizer keeps to 0, from which all of them start."""
    for entries in optimizer.state.values():
        for value in entries.values():
            value.zero_()


@contextmanager
def _waits_are_errors(on: bool) -> Iterator[None]:
    """In this block torch raises a RuntimeError where the program would wait for the device, as far as torch knows."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error" if on else before)
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
