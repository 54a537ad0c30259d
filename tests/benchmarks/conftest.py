"""What the kernels' benchmarks share: two threads, and the machine's own limits, measured in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from threadpoolctl import threadpool_limits

THREADS = 2


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


@pytest.fixture(scope="session", autouse=True)
def _two_threads(_one_thread: None) -> Iterator[None]:
    """As many threads for torch and for what numpy and scikit-learn call."""
    with threadpool_limits(THREADS):
        torch.set_num_threads(THREADS)
        yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def machine(_two_threads: None) -> Machine:
    """Bandwidth and multiplication rate, measured now."""
    numbers, vector = torch.randn(50_000, 512), torch.randn(512)
    one, other = torch.randn(2048, 2048), torch.randn(2048, 2048)
    read = numbers.numel() * 4 / seconds(lambda: numbers @ vector, 20)
    return Machine(read, 2 * 2048**3 / seconds(lambda: one @ other, 10))
