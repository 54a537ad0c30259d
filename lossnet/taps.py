"""Taps of any model: outputs of its submodules, recorded by forward hooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn


@contextmanager
def hooked_taps(model: nn.Module, names: Sequence[str]) -> Iterator[list[Tensor]]:
    """A context manager that gives a list of the outputs of the named submodules, in the order of `names`.

    Every forward pass of the model replaces the content of the list. The hooks are removed on leaving the block.

    Raises:
        AttributeError: the model has no submodule of such a name.
        TypeError: the output of a submodule is not a single tensor.
    """
    taps: list[Tensor] = []
    latest: dict[str, Tensor] = {}

    def record(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        if not isinstance(output, Tensor):
            msg = f"the output of {name!r} is a {type(output).__name__}; a tap must be one tensor"
            raise TypeError(msg)
        latest[name] = output
        if len(latest) == len(set(names)):
            taps[:] = [latest[tap_name] for tap_name in names]

    def clear(_module: nn.Module, _inputs: object) -> None:
        latest.clear()
        taps.clear()

    modules = [
        model.get_submodule(name) for name in names
    ]  # before any hook is added, so that an unknown name leaves no hook behind
    handles = [model.register_forward_pre_hook(clear)]
    try:
        handles += [
            module.register_forward_hook(partial(record, name)) for name, module in zip(names, modules, strict=True)
        ]
        yield taps
    finally:
        for handle in handles:
            handle.remove()
