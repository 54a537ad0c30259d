"""Taps of models that do not show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn


@contextmanager
def hooked_taps(model: nn.Module, names: Sequence[str]) -> Iterator[list[Tensor]]:
    """A list that holds, after each forward pass, the outputs of the named submodules in the order of `names`.

    The list is refilled by every pass; the hooks are removed on leaving the block.

    Raises:
        AttributeError: a name that the model does not have.
        TypeError: a submodule whose output is not one tensor.
    """
    taps: list[Tensor] = []
    latest: dict[str, Tensor] = {}

    def keep(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        if not isinstance(output, Tensor):
            msg = f"the output of {name!r} is a {type(output).__name__}; a tap must be one tensor"
            raise TypeError(msg)
        latest[name] = output
        if len(latest) == len(set(names)):
            taps[:] = [latest[each] for each in names]

    def forget(_module: nn.Module, _inputs: object) -> None:
        latest.clear()
        taps.clear()

    modules = [model.get_submodule(name) for name in names]  # before any hook, so that a wrong name leaves none
    handles = [model.register_forward_pre_hook(forget)]
    try:
        handles += [
            module.register_forward_hook(partial(keep, name)) for name, module in zip(names, modules, strict=True)
        ]
        yield taps
    finally:
        for handle in handles:
            handle.remove()
