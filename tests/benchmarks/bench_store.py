"""The kernels on a pool in a file: `uv run python tests/benchmarks/bench_store.py IMAGES PICKS [KERNEL ...]`.

D = 512, C = 10, float32, as many threads as OMP_NUM_THREADS says (else all cores), once each. Of every kernel: wall and CPU
seconds, the peak of the process's memory with the pages of the file, the passes over all points for distances, and the floor,
which is the larger of two times: the multiplications that were needed at the rate of a product of matrices here, and the reads of
the file at the speed of a first one. The process
may hold 4 GB of its own, and the points lie in a file whatever their size. `uv run pytest -m slow tests/benchmarks/bench_store.py`
runs all kernels on 20,000 images.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

sys.path += [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[2])]
from limits import Machine, seconds
from resident import peak_mebibytes

from lossbench.running.machine import reset_peak_memory
from strategies.kernels.clustering import LEAST_POINTS, MOST_PRODUCTS, k_means, k_means_plus_plus, nearest_to_centers
from strategies.kernels.draws import OuterProducts
from strategies.kernels.geometry import Space, greedy_k_center
from strategies.kernels.herding import KERNEL_NUMBERS, herding_picks
from strategies.kernels.information import margin
from strategies.kernels.rows import largest_first
from tasks import memory
from tasks.memory import gathered, parts, room

D, C, MIDDLES, HERDED = 512, 10, 5000, 35_000
MOST_BYTES = 4 * 10**9


class Kernel(NamedTuple):
    """A kernel on the points with a number of picks, and its work by images and picks beside that of counted passes."""

    pick: Callable[[Tensor, int], Tensor]
    products: Callable[[int, int], float]
    reads: Callable[[int, int], float]


def made(count: int) -> Tensor:
    """Embeddings of length 1, not negative, in 5,000 clusters of unequal sizes, written to a file block by block."""
    generator = torch.Generator().manual_seed(0)
    middles = torch.rand(MIDDLES, D, generator=generator)
    points = room(count, middles)
    for part in parts(points):
        near = (MIDDLES * torch.rand(len(part), generator=generator).square()).long()
        functional.normalize(part.normal_(0, 0.5, generator=generator).add_(middles[near]).relu_(), out=part)
    return points


def predictions(points: Tensor) -> Tensor:
    """Log-probabilities of a linear classifier with random weights."""
    weights = 10 * torch.randn(D, C, generator=torch.Generator().manual_seed(1))
    found = room(len(points), weights[:0].new_zeros(1, C))
    for part, rows in zip(parts(points), found.split(memory.PART_NUMBERS // D), strict=True):
        rows.copy_((part @ weights).log_softmax(1))
    return found


def margins(points: Tensor, picks: int) -> Tensor:
    scores = -margin(predictions(points).unsqueeze(1)).squeeze(1)
    return largest_first(scores, torch.from_numpy(np.random.default_rng(0).permutation(len(points))), picks)


def core_set(points: Tensor, picks: int) -> Tensor:
    return greedy_k_center(points, points[: picks // 10].clone(), picks)[0]


def badge(points: Tensor, picks: int) -> Tensor:
    probs = predictions(points).exp_()
    return k_means_plus_plus(probs - functional.one_hot(probs.argmax(1), C), points, picks, np.random.default_rng(0))


def clusters(points: Tensor, picks: int) -> Tensor:
    return nearest_to_centers(k_means(points, picks, np.random.default_rng(0)))


def herding(points: Tensor, picks: int) -> Tensor:
    """Of UHerding and MaxHerding, on their 35,000 candidates."""
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.choice(len(points), min(HERDED, len(points)), replace=False))
    some, labeled = gathered(points, rows), points[: picks // 10].clone()
    return rows[herding_picks(some, torch.ones(len(some)), labeled, 0.5, picks, rng)[0]]


def learned(images: int, picks: int) -> float:
    """Points from which k-means learns."""
    return min(max(MOST_PRODUCTS / (picks * D), LEAST_POINTS * picks), images)


def one_by_one(images: int, picks: int) -> int:
    """Draws of BADGE that take a pass each."""
    return picks if images * picks * (D + C) <= MOST_PRODUCTS else 0


KERNELS = {
    "margin": Kernel(margins, lambda images, _: images * D * C, lambda *_: 1),
    "core-set": Kernel(core_set, lambda *_: 0, lambda *_: 1),
    "badge": Kernel(badge, lambda images, picks: images * one_by_one(images, picks) * (D + C), one_by_one),
    "k-means": Kernel(  # 20 iterations on all images or a sample; then the last assignment
        clusters,
        lambda images, picks: picks * D * (21 * learned(images, picks) + images * (learned(images, picks) < images)),
        lambda images, picks: 42 * learned(images, picks) / images + 1,
    ),
    "herding": Kernel(
        herding, lambda images, picks: (KERNEL_NUMBERS + min(HERDED, images) * 1.1 * picks) * D, lambda *_: 0.1
    ),
}


def measure(name: str, points: Tensor, picks: int, machine: Machine) -> float:
    """Run a kernel once, print its line, and give the peak of memory in mebibytes."""
    reset_peak_memory(torch.device("cpu"))
    passes = counted_passes(len(points))
    begun, used = time.perf_counter(), time.process_time()
    rows = KERNELS[name].pick(points, picks)
    wall, processor = time.perf_counter() - begun, time.process_time() - used
    assert len(set(rows.tolist())) >= 0.9 * picks, "k-means may leave clusters empty"
    products = KERNELS[name].products(len(points), picks) + sum(passes) * len(points) * D
    reads = KERNELS[name].reads(len(points), picks) + len(passes)
    floors = machine.floor(flops=2 * products), machine.floor(bytes_read=reads * points.numel() * 4)
    bound = "multiplications" if floors[0] > floors[1] else "reading the file"
    print(
        f"{name}: {wall:.0f} s, {processor:.0f} s of CPU, peak {peak_mebibytes():.0f} MiB, {len(passes)} passes "
        f"with {sum(passes)} picks or centers; floor {max(floors):.1f} s by {bound}",
        flush=True,
    )
    return peak_mebibytes()


def counted_passes(images: int) -> list[int]:
    """A list that gets the number of the others for every pass for distances of all points to them."""
    passes: list[int] = []
    for kind, size in ((Space, "offsets"), (OuterProducts, "norms")):
        plain = getattr(kind.distances_to_nearest, "plain", kind.distances_to_nearest)

        def counted(self, others, plain=plain, size=size):
            passes.extend([len(getattr(others, size))] * (len(getattr(self, size)) == images))
            return plain(self, others)

        counted.plain = plain
        kind.distances_to_nearest = counted
    return passes


def main(images: int, picks: int, names: list[str]) -> list[float]:
    """Measure these kernels, all if none is named, and give their peaks."""
    os.environ[memory.MEMORY] = "0"
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, limits[1]))
    begun = time.perf_counter()
    points = made(images)
    load = os.getloadavg()[0]
    print(
        f"{images} points made in {time.perf_counter() - begun:.0f} s; {torch.get_num_threads()} threads, load {load:.1f}"
    )
    one, other = torch.randn(2048, D), torch.randn(D, 2048)
    flops = 2 * 2048**2 * D / seconds(lambda: one @ other, 10)
    begun = time.perf_counter()
    total = sum(float(part.sum()) for part in parts(points))
    machine = Machine(points.numel() * 4 / (time.perf_counter() - begun), flops)
    print(f"{machine.flops_per_second / 1e9:.0f} GFLOP/s, {machine.bytes_per_second / 1e9:.2f} GB/s read ({total:.4g})")
    try:
        return [measure(name, points, picks, machine) for name in names or KERNELS]
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


@pytest.mark.slow
def test_kernels_hold_little_of_a_pool_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.MEMORY, "0")
    assert max(main(20_000, 100, [])) < MOST_BYTES / 2**20


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
