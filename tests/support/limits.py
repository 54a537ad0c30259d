"""Seconds of a kernel, and what the machine could do at best."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """What this machine reaches: no kernel can be faster than its bytes or its multiplications allow."""

    bytes_per_second: float
    """Of reading float32 numbers."""
    flops_per_second: float
    """Of a product of float32 matrices."""

    def floor(self, *, bytes_read: float = 0.0, flops: float = 0.0) -> float:
        """Seconds that cannot be undercut."""
        return max(bytes_read / self.bytes_per_second, flops / self.flops_per_second)


def seconds(kernel: Callable[[], object], repeats: int = 5) -> float:
    """The median over repeats, after one that warms up; with no repeats the one that is cold."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        kernel()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:] or times)
