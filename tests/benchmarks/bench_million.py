"""Every pure kernel on a million candidates: `uv run pytest -m slow tests/benchmarks/bench_million.py -s`.

N = 1,000,000, K = 1,000, D = 512, C = 10, float32, two threads, once each. Each must end within 10 minutes and hold at most
6 GB, the points themselves (2 GB) included. Methods that train networks or graphs work on a subset, and say so.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lossbench.running.machine import memory_growth
from strategies.bait import gram
from strategies.cdal import Mixtures, cdal_picks
from strategies.kernels.clustering import k_means, k_means_plus_plus, nearest_to_centers
from strategies.kernels.fisher import FisherBatch, fisher_picks
from strategies.kernels.geometry import greedy_k_center
from strategies.kernels.herding import herding_picks
from strategies.kernels.information import disagreement, entropy, expected_residual, least_confidence, margin
from strategies.typiclust import typical_picks
from tasks.base import Posteriors

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("two_threads")]
N, L, K, D, C = 1_000_000, 10_000, 1_000, 512, 10
MOST_SECONDS, MOST_MEBIBYTES = 600, 6 * 1024


@pytest.fixture(scope="module")
def points() -> Tensor:
    """Embeddings of length 1, not negative, in clusters."""
    generator = torch.Generator().manual_seed(0)
    middles = torch.rand(1000, D, generator=generator)
    found = torch.empty(N, D)
    for part in found.split(50_000):
        part.normal_(0, 0.5, generator=generator)
        part += middles[torch.randint(1000, (len(part),), generator=generator)]
        part.relu_()
        part /= part.norm(dim=1, keepdim=True)
    return found


def probabilities() -> Tensor:
    return (3 * torch.randn(N, 1, C, generator=torch.Generator().manual_seed(1))).log_softmax(2)


def k_center(points: Tensor) -> Tensor:
    return greedy_k_center(points, points[:L].clone(), K)[0]


def badge(points: Tensor) -> Tensor:
    probs = probabilities()[:, 0].exp()
    residuals = probs - functional.one_hot(probs.argmax(1), C)
    return k_means_plus_plus(residuals, points, K, np.random.default_rng(0))


def clusters_of_alfa_mix(points: Tensor) -> Tensor:
    return nearest_to_centers(k_means(points, K, np.random.default_rng(0)))


def typiclust(points: Tensor) -> Tensor:
    member = k_means(points, 500, np.random.default_rng(0)).assignment
    return typical_picks(points, member, L, K)


def cdal(_: Tensor) -> Tensor:
    return cdal_picks(Mixtures(probabilities().exp(), torch.ones(N, 1, dtype=torch.bool)), L, K)[0]


def uncertainty(_: Tensor) -> Tensor:
    log_probs = probabilities()
    passes = [Posteriors(log_probs, torch.ones(N, 1), torch.zeros(N, 1, dtype=torch.long)) for _ in range(10)]
    rows = [each(log_probs).sum(1) for each in (entropy, least_confidence, margin, expected_residual)]
    return (sum(rows) + disagreement(passes)).topk(K).indices


def herding(points: Tensor) -> Tensor:
    """Of UHerding and MaxHerding, on their 35,000 candidates."""
    some, labeled = points[::28][:35_000], points[1:L].clone()
    return herding_picks(some, torch.ones(len(some)), labeled, 0.5, K, np.random.default_rng(0))[0]


def bait(points: Tensor) -> Tensor:
    """On its 100,000 candidates."""
    some = points[::10].clone()
    return fisher_picks(FisherBatch(some, torch.eye(D), gram(some) / len(some)), K, 2.0)


@pytest.mark.parametrize(
    "kernel",
    [uncertainty, cdal, k_center, badge, typiclust, clusters_of_alfa_mix, herding, bait],
    ids=lambda each: each.__name__,
)
def test_a_million_candidates(kernel: Callable[[Tensor], Tensor], points: Tensor, capsys) -> None:
    own = 0.0 if kernel in (uncertainty, cdal) else points.numel() * 4 / 2**20
    start = time.perf_counter()
    with memory_growth(torch.device("cpu")) as grown:
        rows = kernel(points)
    seconds = time.perf_counter() - start
    with capsys.disabled():
        print(f"\n{kernel.__name__}: {seconds:.0f} s, {grown[0] + own:.0f} MiB with its input")
    assert len(set(rows.tolist())) >= 0.99 * K, "where k-means leaves a cluster empty, the strategy fills it"
    assert seconds <= MOST_SECONDS
    assert grown[0] + own <= MOST_MEBIBYTES
