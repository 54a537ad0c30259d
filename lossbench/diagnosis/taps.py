"""Submodules of a protocol's model that can be taps: their names, output shapes, parameters and operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tasks.base import TapModel, Task
from tasks.models.settings import FreezableSettings
from tasks.models.tapped import TappedModel
from tasks.models.trunks.library import LibraryBackbone
from tasks.settings import TaskSettings


class Candidate(NamedTuple):
    """A submodule whose output is one tensor."""

    name: str
    shape: tuple[int, ...]
    """Of the output for one image."""
    parameters: int
    operations: int
    """Floating-point operations for one image, as torch counts them: two per multiplication with addition."""


def with_trained_trunk(settings: TaskSettings) -> TaskSettings:
    """The same settings with a trunk that is not frozen, whose parts run; nothing is stored for it."""
    model = getattr(settings, "model", None)
    if not isinstance(model, FreezableSettings) or not model.freeze:
        return settings
    return settings.model_copy(update={"model": model.model_copy(update={"freeze": False, "mirrored": False})})


def candidates(task: Task[Any, Any]) -> list[Candidate]:
    """The submodules of a task's model that can be taps, in the order in which they run, by the names that `taps` takes."""
    model = task.build_model().placed(task.unlabeled.device).eval()
    named = _named_by_taps(model)
    start = next(f"{name}." if name else "" for name, module in model.named_modules() if module is named)
    found: dict[str, tuple[int, ...]] = {}
    with _noted_shapes(model, found), FlopCounterMode(display=False) as counter, torch.no_grad():
        model(task.unlabeled.inputs(np.array([0])))
    counts = counter.get_flop_counts()
    root = type(model).__name__
    return [
        Candidate(
            name.removeprefix(start),
            shape,
            sum(parameter.numel() for parameter in model.get_submodule(name).parameters()),
            sum(counts.get(f"{root}.{name}", {}).values()),
        )
        for name, shape in found.items()
        if name.startswith(start)
    ]


def _named_by_taps(model: TapModel) -> nn.Module:
    """The part of a model, or all of it, whose submodules a protocol's `taps` name."""
    for each in model.modules():
        if isinstance(each, TappedModel):
            return each.module
        if isinstance(each, LibraryBackbone):
            return each.network
    return model


@contextmanager
def _noted_shapes(model: nn.Module, shapes: dict[str, tuple[int, ...]]) -> Iterator[None]:
    """Note the shape of the output of every submodule that gives one tensor."""

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            shapes[name] = tuple(output.shape[1:])

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in model.named_modules()
        if name
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
