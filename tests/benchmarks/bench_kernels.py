"""The picking kernels beside the forms that the field uses: `uv run pytest tests/benchmarks/bench_kernels.py`.

float32, D = 512, C = 10, two threads, medians of 5 after one that warms up; both forms in one run. Where the field's form
takes minutes, 20 of its picks are measured and the rest extrapolated ("*"). Beside both stands the floor: the bytes that
must be read over the bandwidth of this machine, or the multiplications over its matrix rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from conftest import Machine, seconds
from sklearn.metrics import pairwise_distances
from torch import Tensor

from lossbench.machine import memory_growth
from strategies.geometry import greedy_k_center, squared_distance_sampling

N, L, K, D, C = 50_000, 10_000, 1_000, 512, 10
NAIVE_PICKS = 20


@pytest.fixture(scope="module")
def points() -> Tensor:
    """Embeddings as a network with ReLU gives them: not negative, in clusters, of different lengths."""
    generator = torch.Generator().manual_seed(0)
    middles = torch.rand(100, D, generator=generator)
    member = torch.randint(100, (N + L,), generator=generator)
    noise = 0.5 * torch.randn(N + L, D, generator=generator)
    return (middles[member] + noise).relu_() * (0.5 + torch.rand(N + L, 1, generator=generator))


@pytest.fixture(scope="module")
def residuals() -> Tensor:
    """Softmax less the prediction, some of them sure."""
    logits = 3 * torch.randn(N, C, generator=torch.Generator().manual_seed(1))
    return logits.softmax(1) - torch.nn.functional.one_hot(logits.argmax(1), C)


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., None]]:
    """Prints one line of the table."""

    def line(what: str, ours: float, theirs: float, floor: float, note: str = "") -> None:
        with capsys.disabled():
            print(
                f"\n{what}: {ours:.2f} s, {theirs / ours:.0f}x as fast as the usual form ({theirs:.1f} s); "
                f"floor {floor:.2f} s ({floor / ours:.0%} of it reached){note}"
            )

    return line


def extrapolated(pick: Callable[[int], object], start: float = 0.0) -> float:
    """Seconds of K picks, from some of them."""
    return start + seconds(lambda: [pick(number) for number in range(NAIVE_PICKS)], 1) * K / NAIVE_PICKS


def test_k_center(points: Tensor, machine: Machine, report: Callable[..., None], benchmark) -> None:
    candidates, labeled = points[:N], points[N:]
    ours = seconds(lambda: greedy_k_center(candidates, labeled, K))
    rows, distances = benchmark.pedantic(greedy_k_center, (candidates, labeled, K))

    array = candidates.numpy()
    near = pairwise_distances(array, labeled.numpy()).min(1)

    def pick(_: int) -> None:
        farthest = int(near.argmax())
        np.minimum(near, pairwise_distances(array, array[[farthest]])[:, 0], out=near)

    first = seconds(lambda: pairwise_distances(array, labeled.numpy()).min(1), 1)
    theirs = extrapolated(pick, first)
    report(
        "k-center, 50,000 points, 10,000 centers, 1,000 picks",
        ours,
        theirs,
        machine.floor(flops=2 * N * (L + K) * D),
        " *",
    )
    assert theirs >= 10 * ours

    exact = candidates.double()
    nearest = torch.cat([torch.cdist(part, labeled.double()).amin(1) for part in exact.split(5000)])
    for row, distance in zip(rows.tolist(), distances.tolist(), strict=True):
        assert distance == pytest.approx(float(nearest.max()), rel=1e-5)
        nearest = torch.minimum(nearest, (exact - exact[row]).square().sum(1).sqrt())


def test_badge(points: Tensor, residuals: Tensor, machine: Machine, report: Callable[..., None], benchmark) -> None:
    inputs = points[:N]

    def draw() -> Tensor:
        return squared_distance_sampling(residuals, inputs, K, np.random.default_rng(0))

    with memory_growth(torch.device("cpu")) as grown:
        rows = draw()
    ours = seconds(draw, 3)
    benchmark.pedantic(draw)

    gradients = torch.einsum("na,nb->nab", residuals, inputs).flatten(1).numpy()
    draws = np.random.default_rng(0).random(K)
    chosen = [int(draws[0] * N)]
    near = pairwise_distances(gradients, gradients[chosen])[:, 0] ** 2

    def pick(number: int) -> None:
        sums = near.astype(np.float64).cumsum()
        chosen.append(int(np.searchsorted(sums, draws[number + 1] * sums[-1], side="right")))
        np.minimum(near, pairwise_distances(gradients, gradients[chosen[-1:]])[:, 0] ** 2, out=near)

    theirs = extrapolated(pick)
    floor = machine.floor(bytes_read=4 * N * (C + D) * K)
    report("BADGE, 50,000 points, 1,000 picks", ours, theirs, floor, f", {grown[0]:.0f} MiB *")
    assert rows[:NAIVE_PICKS].tolist() == chosen[:NAIVE_PICKS]
    assert theirs >= 25 * ours
    assert grown[0] <= 400
