"""What the kernels' benchmarks share: two threads, and the machine's own limits, measured in the same run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from limits import Machine, seconds
from threadpoolctl import threadpool_limits

THREADS = 2


@pytest.fixture(scope="module")
def two_threads(_one_thread: None) -> Iterator[None]:
    """As many threads for torch and for what numpy and scikit-learn call."""
    with threadpool_limits(THREADS):
        torch.set_num_threads(THREADS)
        yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def machine(two_threads: None) -> Machine:
    """Bandwidth and multiplication rate, measured now."""
    numbers, vector = torch.randn(50_000, 512), torch.randn(512)
    one, other = torch.randn(2048, 2048), torch.randn(2048, 2048)
    read = numbers.numel() * 4 / seconds(lambda: numbers @ vector, 20)
    return Machine(read, 2 * 2048**3 / seconds(lambda: one @ other, 10))
