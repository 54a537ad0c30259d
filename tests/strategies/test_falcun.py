"""FALCUN: probabilities of a draw by hand, and the vectors that stand for an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from points import context, random_problem
from scipy import stats
from tiny_contexts import CANDIDATES, MakeContext

from strategies.falcun import Falcun, falcun_picks, scaled
from strategies.kernels.rows import pooled_cells, row_means
from tasks.base import Posteriors

PROBS = torch.tensor([[0.6, 0.4, 0.0], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.6, 0.4, 0.0]])
MARGINS = torch.tensor([0.8, 0.8, 0.3, 0.8])


def second_given_first(first: int, gamma: float) -> np.ndarray:
    """The probabilities of the second draw, by the definition."""
    distances = np.minimum(MARGINS.numpy(), np.abs(PROBS.numpy() - PROBS.numpy()[first]).sum(1))
    rest = [row for row in range(4) if row != first]
    low, high = distances[rest].min(), distances[rest].max()
    weights = np.zeros(4)
    weights[rest] = (MARGINS.numpy()[rest] + (distances[rest] - low) / max(high - low, 1e-12)) ** gamma
    return weights / weights.sum()


def test_draws_follow_their_law() -> None:
    gamma, draws = 3.0, 8000
    found = [falcun_picks(PROBS, MARGINS, 2, gamma, np.random.default_rng(seed)).tolist() for seed in range(draws)]
    # At first d is u, scaled: 1 + .8 for three of them, 0 + .3 for the third.
    first = np.array([1.8**3, 1.8**3, 0.3**3, 1.8**3])
    first /= first.sum()
    counts = np.zeros((4, 4))
    for one, other in found:
        counts[one, other] += 1
    expected = np.stack([first[row] * second_given_first(row, gamma) for row in range(4)])
    assert counts[expected == 0].sum() == 0
    likely = expected * draws > 5
    rest = [counts[~likely].sum(), expected[~likely].sum() * draws]
    assert stats.chisquare([*counts[likely], rest[0]], [*(expected[likely] * draws), rest[1]]).pvalue > 1e-3


def test_a_large_gamma_takes_the_highest_sum_and_0_draws_evenly() -> None:
    for seed in range(5):
        rows = falcun_picks(PROBS, MARGINS * torch.tensor([1.0, 0.9, 1, 0.8]), 4, 1000.0, np.random.default_rng(seed))
        assert rows[0] == 0
        assert sorted(rows.tolist()) == [0, 1, 2, 3]
    firsts = [int(falcun_picks(PROBS, MARGINS * 0, 1, 10.0, np.random.default_rng(seed))[0]) for seed in range(800)]
    evenly = [int(falcun_picks(PROBS, MARGINS, 1, 0.0, np.random.default_rng(seed))[0]) for seed in range(800)]
    for counted in (firsts, evenly):
        assert stats.chisquare(np.bincount(counted, minlength=4)).pvalue > 1e-3
    assert scaled(torch.tensor([1.0, 3.0, 2.0])).tolist() == [0, 1, 0.5]


def test_one_row_is_its_own_mean_and_maps_stay_apart() -> None:
    one = Posteriors(PROBS.log().unsqueeze(1), torch.ones(4, 1), torch.zeros(4, 1, dtype=torch.long))
    torch.testing.assert_close(row_means(one), PROBS)
    two = torch.tensor([[[0.5, 0.5], [1.0, 0.0], [torch.nan, torch.nan]]])
    rows = Posteriors(two.log(), torch.tensor([[0.25, 0.75, 0.0]]), torch.zeros(1, 3, dtype=torch.long))
    torch.testing.assert_close(row_means(rows), torch.tensor([[0.875, 0.125]]))
    maps = torch.rand(2, 3, 100, generator=torch.Generator().manual_seed(0)).softmax(2)
    joints = Posteriors(maps.log(), torch.full((2, 3), 1 / 3), torch.arange(3).expand(2, 3), (10, 10))
    torch.testing.assert_close(row_means(joints), pooled_cells(maps, (10, 10), 64).flatten(1) / 3)
    assert row_means(joints).shape == (2, 3 * 64)


def test_on_one_row_it_reads_margins_and_probabilities() -> None:
    points, _, weight, bias = random_problem(7, count=90)
    ctx = context(points, weight, bias, torch.ones(10, 1).bool(), budget=15, batch=32)
    probs = (points[10:] @ weight.T + bias).softmax(1)
    top = probs.sort(1, descending=True).values
    rows = falcun_picks(probs, 1 - (top[:, 0] - top[:, 1]), 15, 10.0, np.random.default_rng(0))
    assert Falcun().select(ctx).ids.tolist() == (rows + 10).tolist()


def test_it_reads_what_every_task_gives(kind: str, context: MakeContext) -> None:
    ctx = context(kind)
    (posteriors,) = ctx.learner.posteriors(CANDIDATES)
    vectors = row_means(posteriors)
    assert vectors.sum(1).tolist() == pytest.approx([1] * len(CANDIDATES), abs=1e-4)
    top = posteriors.log_probs.exp().topk(2, 2).values
    uncertainty = (posteriors.weight * (1 - top[..., 0] + top[..., 1])).sum(1)
    rows = falcun_picks(vectors, uncertainty, 5, 10.0, np.random.default_rng(0))
    assert Falcun().select(ctx).ids.tolist() == CANDIDATES[rows.numpy()].tolist()
