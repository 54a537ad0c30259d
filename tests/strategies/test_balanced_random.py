"""Balanced random: groups as predicted, in turns, and evenly within each."""

from __future__ import annotations

import numpy as np
import torch
from points import context, random_problem
from scipy import stats
from tiny_contexts import CANDIDATES, LABELED, MakeContext
from torch.nn import functional

from strategies.balanced_random import BalancedRandom, even_draws, group_means, heaviest_context
from tasks.base import Posteriors

GROUPS = np.array([0] * 10 + [1] * 3 + [4] * 5)


def test_groups_take_turns_until_they_are_empty() -> None:
    for seed in range(30):
        rows = even_draws(GROUPS, 18, np.random.default_rng(seed))
        assert sorted(rows) == list(range(18))
        for turn in range(3):
            assert set(GROUPS[rows[3 * turn : 3 * turn + 3]]) == {0, 1, 4}
        assert set(GROUPS[rows[13:]]) == {0}
        assert even_draws(GROUPS, 4, np.random.default_rng(seed)).tolist() == rows[:4].tolist()


def test_within_a_group_all_are_as_likely_and_no_group_is_first() -> None:
    draws = [even_draws(GROUPS, 2, np.random.default_rng(seed)) for seed in range(6000)]
    firsts = np.array([rows[0] for rows in draws])
    expected = np.where(GROUPS == 0, 1 / 30, np.where(GROUPS == 1, 1 / 9, 1 / 15)) * len(draws)
    assert stats.chisquare(np.bincount(firsts, minlength=18), expected).pvalue > 1e-3


def test_the_heaviest_context_is_the_group() -> None:
    context_ = torch.tensor([[3, 1, 1], [0, 2, 0]])
    weight = torch.tensor([[0.45, 0.25, 0.3], [0.3, 0.6, 0.1]])
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    assert heaviest_context(Posteriors(torch.zeros(2, 3, 4), weight, context_), rng).tolist() == [1, 2]
    assert rng.bit_generator.state == state, "nothing is drawn where none are equal"


def test_of_equally_heavy_contexts_all_are_as_likely() -> None:
    """As in a segmentation whose classes share the weight evenly, each divided among its cells."""
    cells = torch.tensor([1, 1, 1, 4, 4, 4, 4, 4, 4, 4, 6])
    weight = (1 / 3 / cells.bincount().float()[cells]).expand(3000, -1)
    posteriors = Posteriors(torch.zeros(3000, 11, 8), weight, cells.expand(3000, -1))
    drawn = heaviest_context(posteriors, np.random.default_rng(0)).bincount(minlength=8)
    assert stats.chisquare(drawn[[1, 4, 6]].numpy()).pvalue > 1e-3
    assert int(drawn.sum()) == int(drawn[[1, 4, 6]].sum())


def test_on_one_row_groups_are_predicted_classes() -> None:
    points, _, weight, bias = random_problem(8, count=200)
    ctx = context(points, weight, bias, torch.ones(10, 1).bool(), budget=30, batch=64)
    classes = (points[10:] @ weight.T + bias).argmax(1).numpy()
    expected = ctx.candidates[even_draws(classes, 30, np.random.default_rng(0))]
    assert BalancedRandom().select(ctx).ids.tolist() == expected.tolist()


def test_poses_are_of_the_nearest_labeled_group(context: MakeContext) -> None:
    ctx = context("pose")
    embeddings = functional.normalize(ctx.learner.embeddings(LABELED))
    means = torch.stack(
        [functional.normalize(embeddings[torch.arange(12) % 3 == each].sum(0), dim=0) for each in range(3)]
    )
    torch.testing.assert_close(group_means(ctx), means)  # of four groups the last has no images
    groups = (functional.normalize(ctx.learner.embeddings(CANDIDATES)) @ means.T).argmax(1).numpy()
    expected = CANDIDATES[even_draws(groups, 5, np.random.default_rng(0))]
    assert BalancedRandom().select(ctx).ids.tolist() == expected.tolist()
