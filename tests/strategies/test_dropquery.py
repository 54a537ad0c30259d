"""DropQuery: the inconsistent images as by the paper's rule, one per cluster, and what follows them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from points import context, random_problem
from tiny_contexts import CANDIDATES, MakeContext
from torch.nn import functional

from strategies.base import unit_embeddings
from strategies.dropquery import DropQuery
from strategies.kernels.clustering import k_means, nearest_to_centers
from tasks.training.dropout import Dropout


def test_on_one_row_more_than_half_of_the_passes_give_another_category() -> None:
    points, _, weight, bias = random_problem(1, count=120)
    ctx = context(points, weight, bias, torch.ones(4, 1).bool())
    _, changes = DropQuery(passes=5)._read(ctx)
    dropout = Dropout.of(0.75, np.random.default_rng(0), torch.device("cpu"))
    before = (points[4:] @ weight.T + bias).argmax(1)
    expected = sum((dropout((points[4:],))[0] @ weight.T + bias).argmax(1) != before for _ in range(5))
    assert changes.tolist() == expected.tolist()
    assert set(changes.tolist()) >= {0, 2, 3}


def test_rows_of_half_the_weight_make_a_change(kind: str, context: MakeContext) -> None:
    ctx = context(kind)
    _, changes = DropQuery()._read(ctx)
    dropout = Dropout.of(0.75, np.random.default_rng(0), torch.device("cpu"))
    ((_, outputs),) = ctx.learner.batches(CANDIDATES)
    before, count = ctx.learner.task.posteriors(outputs.raw), torch.zeros(len(CANDIDATES))
    with torch.no_grad():
        for _ in range(3):
            after = ctx.learner.decode(dropout(outputs.features))
            changed = before.log_probs.argmax(2) != after.log_probs.argmax(2)
            count += torch.where(changed, before.weight, 0.0).sum(1) >= 0.5 - 1e-6
    assert changes.tolist() == count.tolist()


def test_the_inconsistent_images_nearest_to_the_centers_are_picked() -> None:
    points, _, weight, bias = random_problem(2, count=300)
    ctx, again = (context(points, weight, bias, torch.ones(4, 1).bool(), budget=20) for _ in range(2))
    embeddings, changes = DropQuery()._read(again)
    rows = (changes >= 2).nonzero().squeeze(1)
    assert 40 < len(rows) < 250
    torch.testing.assert_close(embeddings, functional.normalize(points[4:]))
    nearest = rows[nearest_to_centers(k_means(embeddings[rows], 20, again.rng))]
    assert DropQuery().select(ctx).ids.tolist() == ctx.candidates[nearest.numpy()].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_where_too_few_are_inconsistent_the_others_follow(seed: int) -> None:
    points, _, weight, bias = random_problem(3, count=64)
    ctx, again = (context(points, weight, bias, torch.ones(4, 1).bool(), budget=58, seed=seed) for _ in range(2))
    _, changes = DropQuery()._read(again)
    found = changes[torch.from_numpy(np.searchsorted(ctx.candidates, DropQuery().select(ctx).ids))]
    inconsistent = int((changes >= 2).sum())
    assert inconsistent < 58
    assert (found[:inconsistent] >= 2).all()
    ones = int((changes == 1).sum())
    assert found[inconsistent : inconsistent + ones].tolist() == [1] * min(ones, 58 - inconsistent)


def test_where_nothing_is_labeled_all_images_are_clustered() -> None:
    points, _, weight, bias = random_problem(4, count=50)
    ctx, again = (context(points, weight, bias, torch.zeros(0, 1).bool(), budget=6) for _ in range(2))
    nearest = nearest_to_centers(k_means(unit_embeddings(again, again.candidates), 6, again.rng))
    assert sorted(DropQuery().select(ctx).ids) == sorted(ctx.candidates[nearest.numpy()])
    assert DropQuery.cold_start
