"""BAIT: the binary Fisher information on one row, and on every task."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from points import context, random_problem
from tiny_contexts import CANDIDATES, LABELED, MakeContext

from strategies import SelectionError
from strategies.bait import Bait, binary_information, gram
from strategies.kernels.fisher import FisherBatch, fisher_picks
from tasks.base import Posteriors


def test_the_information_by_hand() -> None:
    log_probs = torch.tensor([[[0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [1.0, 0.0, 0.0]]]).log()
    posteriors = Posteriors(log_probs, torch.tensor([[0.5, 0.25, 0.25]]), torch.zeros(1, 3, dtype=torch.long))
    assert binary_information(posteriors).tolist() == pytest.approx([0.5 * 0.25 + 0.25 * 0.09])
    sure = torch.tensor([[[-1e-9, -20.7]]])
    one = Posteriors(sure, torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.long))
    assert binary_information(one).tolist() == pytest.approx([1e-9], rel=1e-4)


def test_the_sum_of_products_is_exact() -> None:
    vectors = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(gram(vectors), vectors.double().T @ vectors.double(), rtol=1e-5, atol=1e-3)
    assert gram(vectors[:0]).tolist() == [[0.0] * 3] * 3


@pytest.mark.parametrize("oversampling", [1.0, 2.0])
def test_on_one_row_it_is_the_papers(oversampling: float) -> None:
    """p (1 - p) z z^T of the softmax; labeled images count as they are, candidates by the budget over their number."""
    points, _, weight, bias = random_problem(6, count=60)
    ctx = context(points, weight, bias, torch.ones(10, 1).bool(), budget=8)
    top = (points @ weight.T + bias).softmax(1).amax(1).double()
    vectors = points.double() * (top * (1 - top)).sqrt().unsqueeze(1)
    order = torch.from_numpy(np.random.default_rng(0).permutation(50)) + 10
    start = torch.eye(12, dtype=torch.float64) + vectors[:10].T @ vectors[:10] / 18
    batch = FisherBatch(vectors[order] * (8 / 18) ** 0.5, start, vectors.T @ vectors / 60)
    expected = order[fisher_picks(batch, 8, oversampling)]
    assert Bait(oversampling=oversampling).select(ctx).ids.tolist() == expected.tolist()


def test_it_reads_what_every_task_gives(kind: str, context: MakeContext) -> None:
    ctx = context(kind)
    parts = []
    for ids in (LABELED, CANDIDATES):
        (posteriors,) = ctx.learner.posteriors(ids)
        top = posteriors.log_probs.double().exp().amax(2)
        information = torch.where(posteriors.weight > 0, posteriors.weight * top * (1 - top), 0.0).sum(1)
        parts.append(ctx.learner.embeddings(ids).double() * information.sqrt().unsqueeze(1))
    labeled, candidates = parts
    every, total = torch.cat(parts), len(LABELED) + 5
    start = torch.eye(labeled.shape[1], dtype=torch.float64) + labeled.T @ labeled / total
    batch = FisherBatch(candidates * (5 / total) ** 0.5, start, every.T @ every / len(every))
    expected = CANDIDATES[fisher_picks(batch, 5, 2.0).numpy()]
    assert set(Bait().select(ctx).ids) == set(expected)


def test_a_larger_pool_is_reduced(context: MakeContext) -> None:
    assert set(Bait(most_candidates=5).select(context()).ids) != set(Bait().select(context()).ids)


def test_embeddings_that_are_too_long_are_one_line() -> None:
    points, _, weight, bias = random_problem(0, count=40, size=30)
    far = points * 1e12
    ctx = context(far, weight / 1e12, bias, torch.ones(10, 1).bool())
    with pytest.raises(SelectionError, match=r"bait: embeddings as long as .* raise ridge"):
        Bait().select(ctx)
