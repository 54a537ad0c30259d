"""MaxHerding and UHerding: the paper's rule on one row per image, and what they read on every task."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from points import context, random_problem
from tiny_contexts import CANDIDATES, LABELED, MakeContext
from torch.nn import functional

from strategies.base import unit_embeddings
from strategies.kernels.calibration import held_out_temperature
from strategies.max_herding import MaxHerding
from strategies.uherding import UHerding, uncertainty
from tasks.base import Posteriors


def greedy(
    points: torch.Tensor, labeled: torch.Tensor, weights: torch.Tensor, radius: float, picks: int
) -> list[float]:
    """The gains of the paper's greedy picks, from all pairs in float64."""
    points, labeled = points.double(), labeled.double()
    kernel = torch.exp(-((torch.cdist(points, points) / radius) ** 2))
    covered = torch.exp(-((torch.cdist(points, labeled) / radius) ** 2)).amax(1) if len(labeled) else points[:, 0] * 0
    gains = []
    for _ in range(picks):
        gain = (kernel - covered.unsqueeze(1)).clamp(min=0).T @ weights.double() / len(points)
        gains.append(float(gain.max()))
        covered = torch.maximum(covered, kernel[gain.argmax()])
    return gains


@pytest.mark.parametrize("radius", [1.0, 0.3])
def test_max_herding_follows_the_paper_on_every_task(kind: str, radius: float, context: MakeContext) -> None:
    ctx = context(kind)
    labeled, points = (unit_embeddings(ctx, ids) for ids in (LABELED, CANDIDATES))
    found = MaxHerding(radius=radius).select(ctx)
    assert found.scores.tolist() == pytest.approx(greedy(points, labeled, torch.ones(23), radius, 5), abs=1e-5)


def test_uherding_on_one_row_is_the_papers() -> None:
    """Margins of the softmax under the temperature, and the smallest distance of labeled images as radius."""
    points, _, weight, bias = random_problem(3, count=80)
    groups = functional.one_hot(torch.arange(30) % 5, 5).bool()
    ctx = context(points, weight * 3, bias, groups, budget=20)
    labeled, candidates = (unit_embeddings(ctx, ids) for ids in (ctx.labeled, ctx.candidates))
    rng = np.random.default_rng(0)
    rng.permutation(ctx.candidates)
    temperature = held_out_temperature(labeled, groups, rng)
    assert temperature > 1
    top = ((points[30:] @ weight.T * 3 + bias) / temperature).softmax(1).sort(1, descending=True).values
    radius = float(torch.pdist(labeled.double()).min())
    found = UHerding().select(ctx)
    expected = greedy(candidates, labeled, 1 - (top[:, 0] - top[:, 1]), radius, 20)
    assert found.scores.tolist() == pytest.approx(expected, abs=1e-5)


def test_rows_count_by_their_weight() -> None:
    log_probs = torch.tensor([[[0.5, 0.5], [0.9, 0.1], [0.0, 1.0]]]).log()
    posteriors = Posteriors(log_probs, torch.tensor([[0.25, 0.75, 0.0]]), torch.zeros(1, 3, dtype=torch.long))
    assert uncertainty(posteriors, 1.0).tolist() == pytest.approx([0.25 + 0.75 * 0.2])
    # Under 2, odds of 9 are odds of 3: .75 and .25.
    assert uncertainty(posteriors, 2.0).tolist() == pytest.approx([0.25 + 0.75 * 0.5])


def test_with_nothing_labeled_uherding_is_max_herding() -> None:
    points, _, weight, bias = random_problem(4, count=60)
    ctx = context(points, weight, bias, torch.zeros(0, 5).bool(), budget=9)
    again = context(points, weight, bias, torch.zeros(0, 5).bool(), budget=9)
    assert UHerding().select(ctx).ids.tolist() == MaxHerding().select(again).ids.tolist()
    assert UHerding.cold_start


def test_a_larger_pool_is_reduced(context: MakeContext) -> None:
    for strategy in (MaxHerding, UHerding):
        found = {tuple(sorted(strategy(most_candidates=5).select(context()).ids)) for _ in range(2)}
        assert len(found) == 1
        everything = {tuple(sorted(strategy().select(context()).ids))}
        assert found != everything
