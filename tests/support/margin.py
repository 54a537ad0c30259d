"""A number that a test measures after training, and how far it lies from what the test asks for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Margin:
    """What a test asks of a measured number: that it lies above one threshold, below another, or between both.

    The number changes with seed, rounding and instruction set. `python tests/margins.py` measures how much.
    """

    name: str
    measure: Callable[[int], float]
    """From a seed."""
    above: float = -math.inf
    below: float = math.inf

    def check(self, seed: int = 0) -> None:
        """Measure, and fail unless the number is as it should be."""
        self.check_value(self.measure(seed))

    def check_value(self, value: float) -> None:
        """The same for a number that a test has measured by itself."""
        assert self.above < value < self.below, f"{self.name}: {value:.4g}, and {self.wanted} is wanted"

    @property
    def wanted(self) -> str:
        """The thresholds in words."""
        bounds = [f"above {self.above:g}"] * (self.above > -math.inf)
        return " and ".join(bounds + [f"below {self.below:g}"] * (self.below < math.inf))

    def distance(self, value: float) -> float:
        """To the nearer threshold; negative beyond it."""
        return min(value - self.above, self.below - value)
