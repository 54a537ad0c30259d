"""Any `nn.Module` as a model with taps: `TappedModel`, and models from files outside the repository."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar

from torch import Tensor, nn

from lossnet.taps import hooked_taps
from tasks.base import Features, Outputs, TapModel
from tasks.errors import require

MAPS = 4  # dimensions of a feature map: n c h w
TOKENS = 3  # of a transformer's tokens: n tokens c
VECTORS = 2  # n c


class _AtHead(BaseException):
    """A module has run up to its head. No `except Exception` of a user's code ends it."""


class TappedModel(TapModel):
    """A module whose submodules are named: those whose outputs are the taps, and the head.

    The head must be the last step: its output is the module's. A tap may be a map (n, c, h, w), tokens of a vision
    transformer (n, tokens, c), which become a square map without the tokens before them, or a vector (n, c).

    Args:
        module: takes normalized images and gives what the task's losses compare: see `OwnModel.build`.
        taps: names of submodules, as `module.named_modules()` gives them. All of them must run before the head.
        head: name of the submodule that computes the output from the features; None where the taps alone are read.

    Raises:
        AttributeError: there is no submodule of such a name.
        ValueError: a tap is inside the head, or holds it.
    """

    def __init__(self, module: nn.Module, taps: Sequence[str], head: str | None = None) -> None:
        super().__init__()
        for name in (*taps, head or ""):
            module.get_submodule(name)
        for name in taps if head else ():
            if f"{name}.".startswith(f"{head}.") or not name or f"{head}.".startswith(f"{name}."):
                msg = f"the tap {name!r} is not before the head {head!r}; name parts before it"
                raise ValueError(msg)
        self.module = module
        self._tap_names, self._head_name = tuple(taps), head

    @property
    def head(self) -> nn.Module:  # pyright: ignore[reportIncompatibleVariableOverride] - not a second entry of the state
        """The submodule that computes the output from the features.

        Raises:
            AttributeError: none is named.
        """
        if self._head_name is None:
            raise AttributeError
        return self.module.get_submodule(self._head_name)

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The taps and what the head reads; the module runs up to its head."""
        hooks = hooked_taps(self.module, self._tap_names), self._read_by_head(last=True)
        with hooks[0] as taps, hooks[1] as features, suppress(_AtHead):
            self.module(images)
        return tuple(as_map(tap) for tap in taps), tuple(features)

    def forward(self, images: Tensor) -> Outputs:
        """Taps, features and output of one run of the module."""
        with hooked_taps(self.module, self._tap_names) as taps, self._read_by_head() as features:
            raw = self.module(images)
        return Outputs(tuple(as_map(tap) for tap in taps), tuple(features), raw)

    @contextmanager
    def _read_by_head(self, *, last: bool = False) -> Iterator[list[Tensor]]:
        """Collects what the head reads; nothing where none is named. Where it is the last step, the head does not run."""
        features: list[Tensor] = []
        if self._head_name is None:
            yield features
            return

        def read(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            features.extend(inputs)
            if last:
                raise _AtHead

        handle = self.head.register_forward_pre_hook(read)
        try:
            yield features
        finally:
            handle.remove()


def as_map(tap: Tensor) -> Tensor:
    """A tap as maps (n, c, h, w).

    Args:
        tap: square maps, with the channels first, or last where their number is not that of the rows; tokens (n, tokens, c),
            of which those before the largest square number are left out (class and register tokens); or vectors (n, c),
            which become maps of one cell.

    Raises:
        DataError: it is none of these.
    """
    if tap.ndim == MAPS:
        channels_first, channels_last = tap.shape[2] == tap.shape[3], tap.shape[1] == tap.shape[2]
        given = f"a tap gives {tuple(tap.shape[1:])} for an image"
        require(channels_first or channels_last, given, "name a part that gives square maps, tokens or a vector")
        return tap if channels_first else tap.permute(0, 3, 1, 2)
    if tap.ndim == TOKENS:
        side = math.isqrt(tap.shape[1])
        cells = tap[:, tap.shape[1] - side * side :]
        return cells.transpose(1, 2).unflatten(2, (side, side))
    return tap.flatten(1)[:, :, None, None]


class OwnModel(ABC):
    """A model in a Python file of a user's own, to be used with `--model-file FILE`.

    The file defines one subclass. A protocol names it: `[task.model]`, `kind = "file"`, `name = "..."`.
    """

    name: ClassVar[str]
    """Lower-case letters, digits and hyphens."""

    @abstractmethod
    def build(self, outputs: int) -> TapModel:
        """A new model, initialized by torch's global generator or from weights of its own; most simply a `TappedModel`.

        It takes images (n, 3, pixels, pixels) under ImageNet's mean and standard deviation; of CIFAR-10, and of the rendered scenes of
        classification, under those of CIFAR-10. It gives, as the kind of task wants:

        - classification: logits (n, classes);
        - segmentation: logits (n, classes, h, h) of the image or of a coarser map;
        - pose: heatmaps (n, stacks, joints, h, h), of one stack or several;
        - detection: nothing; SSD's head reads its last taps, and it needs no head.

        Args:
            outputs: how many numbers it predicts: the number of classes or of joints.
        """
