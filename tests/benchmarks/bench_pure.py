"""Every pure kernel at one size: `uv run pytest tests/benchmarks/bench_pure.py`; for watching a change, not for claims.

10,000 images, 128 numbers an embedding, 10 categories, 100 picks, one thread, fp32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lossnet import channel_statistics, list_likelihood_loss, ranking_loss
from lossnet.multiscale import divergence_loss
from strategies.cdal import Mixtures, cdal_picks, context_mixtures
from strategies.graph import CoreGCN, Graph, train_graph_network
from strategies.kernels import information
from strategies.kernels.clustering import k_means, k_means_plus_plus, nearest_to_centers
from strategies.kernels.geometry import greedy_k_center
from strategies.kernels.mixing import Anchors, symmetric_divergence, unit_gradients
from strategies.kernels.rows import pooled_cells
from strategies.probcover import covering_picks, pure_radius
from strategies.ta_vaal import min_max_scaled
from strategies.typiclust import typical_picks, typicality
from tasks.base import Posteriors
from tasks.training.gradients import count_sketch

N, L, K, D, C = 10_000, 500, 100, 128, 10


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


POINTS = functional.normalize(drawn(N, D).relu())
LOG_PROBS = (3 * drawn(N, 1, C)).log_softmax(2)
ONE_ROW = Posteriors(LOG_PROBS, torch.ones(N, 1), LOG_PROBS.argmax(2))
OTHER = Posteriors((3 * drawn(N, 1, C) + 1).log_softmax(2), torch.ones(N, 1), LOG_PROBS.argmax(2))
SHARES = information.vote_shares([LOG_PROBS, OTHER.log_probs, LOG_PROBS])
CLUSTERS = k_means(POINTS, K, rng())
GRAPH = Graph.of(POINTS)
KERNELS: dict[str, Callable[[], object]] = {
    "entropy": lambda: information.entropy(LOG_PROBS),
    "least_confidence": lambda: information.least_confidence(LOG_PROBS),
    "margin": lambda: information.margin(LOG_PROBS),
    "disagreement": lambda: information.disagreement([ONE_ROW, OTHER, ONE_ROW]),
    "vote_shares": lambda: information.vote_shares([LOG_PROBS, OTHER.log_probs, LOG_PROBS]),
    "vote_entropy": lambda: information.vote_entropy(SHARES),
    "variation_ratio": lambda: information.variation_ratio(SHARES),
    "expected_residual": lambda: information.expected_residual(LOG_PROBS),
    "greedy_k_center": lambda: greedy_k_center(POINTS, POINTS[:L], K),
    "k_means_plus_plus": lambda: k_means_plus_plus(LOG_PROBS[:, 0].exp(), POINTS, K, rng()),
    "k_means": lambda: k_means(POINTS, K, rng(), iterations=5),
    "nearest_to_centers": lambda: nearest_to_centers(CLUSTERS),
    "context_mixtures": lambda: context_mixtures(ONE_ROW),
    "pooled_cells": lambda: pooled_cells(drawn(64, 16, 256).softmax(2), (16, 16), 64),
    "cdal_picks": lambda: cdal_picks(Mixtures(LOG_PROBS.exp(), torch.ones(N, 1, dtype=torch.bool)), L, K),
    "graph_propagate": lambda: GRAPH.propagate(POINTS),
    "train_graph_network": lambda: train_graph_network(GRAPH.propagate, POINTS, L, CoreGCN(epochs=2), rng()),
    "typicality": lambda: typicality(POINTS[:2000], 20),
    "typical_picks": lambda: typical_picks(POINTS, CLUSTERS.assignment, L, K),
    "pure_radius": lambda: pure_radius(POINTS[:4000], CLUSTERS.assignment[:4000], 0.95),
    "covering_picks": lambda: covering_picks(POINTS[:4000], L, 0.7, K, rng()),
    "farthest_anchor": lambda: Anchors.of(POINTS[:C]).farthest_distances(POINTS),
    "unit_gradients": lambda: unit_gradients(POINTS),
    "symmetric_divergence": lambda: symmetric_divergence(ONE_ROW, OTHER),
    "min_max_scaled": lambda: min_max_scaled(POINTS[:, 0]),
    "count_sketch": lambda: count_sketch(drawn(16, 20_000), 4096),
    "channel_statistics": lambda: channel_statistics(drawn(128, 64, 16, 16)),
    "ranking_loss": lambda: ranking_loss(POINTS[:, 0], POINTS[:, 1]),
    "list_likelihood_loss": lambda: list_likelihood_loss(POINTS[:, 0], POINTS[:, 1]),
    "divergence_loss": lambda: divergence_loss(POINTS[:, 0], POINTS[:, 1]),
}  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernel(kernel: str, benchmark) -> None:
    benchmark.pedantic(KERNELS[kernel], rounds=5, warmup_rounds=1)
