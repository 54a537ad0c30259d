"""CLUE: entropies under a temperature by hand, and centers where the entropy lies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from points import context, random_problem
from tiny_contexts import CANDIDATES, MakeContext

from strategies.clue import Clue, softened_entropy
from strategies.kernels.clustering import k_means, nearest_to_centers
from tasks.base import Posteriors


def test_entropies_by_hand() -> None:
    log_probs = torch.tensor([[[0.9, 0.1], [0.5, 0.5], [1.0, 0.0]]]).log()
    posteriors = Posteriors(log_probs, torch.tensor([[0.5, 0.25, 0.25]]), torch.zeros(1, 3, dtype=torch.long))
    quarter = 2 * math.log(2) - 0.75 * math.log(3)  # odds of 9 are odds of 3 under a temperature of 2
    assert softened_entropy(posteriors, 2.0).tolist() == pytest.approx([0.5 * quarter + 0.25 * math.log(2)])


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_on_one_row_the_weights_are_entropies_of_the_softmax(temperature: float) -> None:
    points, _, weight, bias = random_problem(0, count=200)
    ctx = context(points, weight, bias, torch.ones(5, 1).bool(), budget=12)
    probs = ((points[5:] @ weight.T + bias) / temperature).softmax(1)
    entropies = torch.special.entr(probs).sum(1)
    rows = nearest_to_centers(k_means(points[5:], 12, np.random.default_rng(0), weights=entropies + 1e-8))
    assert Clue(temperature=temperature).select(ctx).ids.tolist() == ctx.candidates[rows.numpy()].tolist()


def test_it_reads_what_every_task_gives(kind: str, context: MakeContext) -> None:
    ctx = context(kind)
    (posteriors,) = ctx.learner.posteriors(CANDIDATES)
    entropies = softened_entropy(posteriors, 1.0)
    by_hand = (posteriors.weight * torch.special.entr(posteriors.log_probs.exp()).sum(2)).sum(1)
    torch.testing.assert_close(entropies, by_hand)
    points = ctx.learner.embeddings(CANDIDATES)
    rows = nearest_to_centers(k_means(points, 5, np.random.default_rng(0), weights=entropies + 1e-8))
    assert set(CANDIDATES[rows.numpy()]) <= set(Clue().select(ctx).ids)


def test_where_all_embeddings_are_equal_the_highest_entropies_follow() -> None:
    bias = torch.tensor([2.0, 0.0, 0.0])
    points = torch.ones(12, 3)
    weight = torch.zeros(3, 3)
    ctx = context(points, weight, bias, torch.ones(2, 1).bool(), budget=4)
    assert len(set(Clue().select(ctx).ids)) == 4
