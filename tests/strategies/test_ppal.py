"""PPAL: weights and difficulties by hand, the paper's form on one row, and what stands for a detection on every task."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from points import context, random_problem
from tiny_contexts import CANDIDATES, LABELED, MakeContext
from torch.nn import functional

from strategies.kernels.matching import Matching, farthest_first, medoids
from strategies.kernels.rows import pooled_cells
from strategies.ppal import PPAL, category_qualities, category_shares, detections, weight_of
from tasks.base import Posteriors

ROWS = torch.tensor([[[0.7, 0.2, 0.1], [0.02, 0.03, 0.95], [0.3, 0.6, 0.1], [torch.nan] * 3]])
FOUND = Posteriors(ROWS.log(), torch.tensor([[0.5, 0.2, 0.3, 0.0]]), torch.tensor([[0, 1, 1, 0]]))
"""Two detections, one row that is background, one without weight."""
MAPS = torch.tensor([[[0.5, 0.25, 0.25, 0.0], [0.0, 1.0, 0.0, 0.0]]])
JOINTS = Posteriors(MAPS.log(), torch.tensor([[0.5, 0.5]]), torch.tensor([[0, 1]]), (2, 2))


def test_weights_by_hand() -> None:
    weights = PPAL(alpha=0.5, beta=0.4).category_weights(torch.tensor([0.0, 0.5, 1.0]))
    half = 1 + 0.5 * 0.4 * math.log(1 + (math.exp(2) - 1) / 2)
    assert weights.tolist() == pytest.approx([1, half, 1.4, 1.4])
    assert PPAL(alpha=0.011).category_weights(torch.ones(1)).tolist() == pytest.approx([1.2, 1.2])
    assert weight_of(torch.tensor([[0, 7]]), weights).tolist() == [pytest.approx([1, 1.4])]


def test_detections_by_hand() -> None:
    found = detections(FOUND, 0.05)
    assert found.scores.tolist() == [pytest.approx([0.7, 0, 0.6, 0])]
    both = [-sum(p * math.log(p) for p in row) for row in ([0.7, 0.2, 0.1], [0.3, 0.6, 0.1])]
    assert found.entropies.tolist() == [pytest.approx([both[0], 0, both[1], 0])]
    assert category_shares(FOUND, found).tolist() == [pytest.approx([0.7 / 1.3, 0.6 / 1.3])]
    assert category_shares(FOUND, detections(FOUND, 0.9)).tolist() == [[0, 0]]
    only = Posteriors(ROWS.log()[:, 1:2], torch.ones(1, 1), torch.tensor([[0]]))
    assert detections(only, 0.05).scores.tolist() == [[pytest.approx(0.02)]]
    assert detections(JOINTS, 0.9).scores.tolist() == [[0.5, 0.5]]


def test_qualities_by_hand() -> None:
    shown = torch.tensor([[True, False]])
    qualities, seen = category_qualities(FOUND, shown, 0.5)
    assert qualities.tolist() == [pytest.approx([0.7**0.5, 0.6**0.5])]
    assert seen.tolist() == [[True, False]]
    qualities, seen = category_qualities(JOINTS, shown, 2.0)
    assert qualities.tolist() == [pytest.approx([0.25, 1])]
    assert seen.tolist() == [[True, True]]


@pytest.mark.parametrize("batch", [128, 7])
def test_on_one_row_it_is_the_papers(batch: int) -> None:
    points, _, weight, bias = random_problem(3, count=120)
    labels = torch.arange(20) % 4  # no labeled image is of the last class
    ctx = context(points, weight, bias, functional.one_hot(labels, 5).bool(), budget=9, batch=batch)
    probs = (points @ weight.T + bias).softmax(1)
    right = probs[range(20), labels]
    difficulties = [float(1 - (right[labels == each] ** 0.6).mean()) for each in range(4)] + [1.0]
    strategy = PPAL(beta=20)  # so large that it decides which remain
    assert strategy.difficulties(ctx).tolist() == pytest.approx(difficulties)
    factors = 1 + 0.3 * 20 * torch.log1p(math.expm1(1 / 0.3) * torch.tensor(difficulties))
    predicted = probs[20:].argmax(1)
    uncertain = torch.special.entr(probs[20:]).sum(1) * factors[predicted]
    rng = np.random.default_rng(0)
    rng.permutation(100)
    kept = uncertain.argsort(descending=True)[:36]
    images = Matching(functional.normalize(points[20:][kept]), functional.one_hot(predicted[kept], 5).float())
    rows = kept[medoids(images, farthest_first(images, int(rng.integers(36)), 9), 100)]
    assert strategy.select(ctx).ids.tolist() == (rows + 20).tolist()


def test_it_reads_what_every_task_gives(kind: str, context: MakeContext) -> None:
    ctx, strategy = context(kind), PPAL(expansion=1)
    (posteriors,), (labeled,) = ctx.learner.posteriors(CANDIDATES), ctx.learner.posteriors(LABELED)
    groups, probs = ctx.labeled_groups(), labeled.log_probs.exp()
    used = posteriors.weight > 0
    if labeled.grid is None:
        best = torch.where(labeled.weight.unsqueeze(2) > 0, probs, 0).amax(1)
        width = min(4, best.shape[1])
        quality = [(best[groups[:, each], each] ** 0.6).mean() if each < 3 else 0.0 for each in range(width)]
        scores = posteriors.log_probs.gather(2, posteriors.context[:, :, None])[:, :, 0].exp()
        counted = used & (scores >= 0.05)
    else:
        quality = (pooled_cells(probs, labeled.grid, 64).amax(2) ** 0.6).mean(0).tolist()
        counted = used
    assert strategy.difficulties(ctx).tolist() == pytest.approx([1 - float(each) for each in quality], abs=1e-5)
    factors = strategy.category_weights(strategy.difficulties(ctx))
    entropies = torch.special.entr(posteriors.log_probs.exp()).sum(2) * weight_of(posteriors.context, factors)
    uncertain = torch.where(counted, entropies, 0).sum(1)
    expected = uncertain.topk(ctx.budget).indices.numpy()
    assert sorted(strategy.select(ctx).ids) == sorted(CANDIDATES[expected])


def test_with_nothing_labeled_all_categories_are_as_difficult() -> None:
    points, _, weight, bias = random_problem(4, count=30)
    ctx = context(points, weight, bias, torch.zeros(0, 5).bool())
    assert PPAL().difficulties(ctx).tolist() == []
    assert len(set(PPAL().select(ctx).ids)) == 3


def test_equal_images_are_picked_from_all_over_the_pool() -> None:
    ctx = context(torch.ones(400, 3), torch.zeros(4, 3), torch.zeros(4), torch.ones(4, 1).bool(), budget=20)
    picked = PPAL().select(ctx).ids
    assert len(set(picked)) == 20
    assert picked.max() > 200 > picked.min()
    other = PPAL().select(replace(ctx, rng=np.random.default_rng(1))).ids
    assert set(picked) != set(other)


@pytest.mark.parametrize(("showing", "budget"), [(20, 10), (4, 10)])
def test_images_without_a_detection_come_last(showing: int, budget: int) -> None:
    """They share no category with any image, and would be the farthest of all."""
    points, _, weight, bias = random_problem(5, count=50)
    ctx = context(points, weight, bias, torch.ones(10, 5).bool(), budget=budget)
    plain = ctx.learner.task.posteriors

    def posteriors(raw: torch.Tensor) -> Posteriors:
        """Two rows per image; the later candidates have no row above the least score."""
        rows = plain(raw).log_probs.expand(-1, 2, -1)
        flat = torch.full_like(rows, math.log(1e-3))
        seen = (torch.arange(len(rows)) < showing)[:, None, None] if len(rows) == 40 else torch.ones(1, 1, 1).bool()
        return Posteriors(torch.where(seen, rows, flat), torch.full(rows.shape[:2], 0.5), rows.argmax(2))

    ctx.learner.task.posteriors = posteriors  # pyright: ignore[reportAttributeAccessIssue]
    picked = PPAL().select(ctx).ids - 10
    assert len(set(picked)) == budget
    assert (picked < showing).sum() == min(showing, budget)
