"""Seconds by phase, each moment counted once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter  # by its own name: code from outside may replace that of the module

import torch


class Clock:
    """Adds up wall-clock seconds per phase; a phase inside another pauses the outer one.

    On CUDA the device is synchronised at every border, so that a phase pays for its own kernels.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._synchronises = device is not None and device.type == "cuda"
        self._device = device
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time inside the block as `name`, less that of phases inside it."""
        self._turn()
        self._running.append(name)
        try:
            yield
        finally:
            self._turn()
            self._running.pop()

    def selection(self) -> dict[str, float]:
        """A selection's seconds: `forward`, `pick`, and `score` for all else, whatever a strategy called its phases."""
        rest = self.seconds.copy()
        apart = {name: rest.pop(name, 0.0) for name in ("forward", "pick")}
        return apart | {"score": sum(rest.values())}

    def _turn(self) -> None:
        if self._synchronises:
            torch.cuda.synchronize(self._device)
        now = perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now
