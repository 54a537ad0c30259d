"""Noise stability: noise of the given length, and predictions that move by it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from points import context, random_problem
from tiny_contexts import MakeContext

from strategies.kernels.geometry import greedy_k_center
from strategies.noise_stability import NoiseStability, noisy_learners


def test_noise_is_of_a_share_of_the_weights_length(kind: str, context: MakeContext) -> None:
    learner = context(kind).learner
    before = copy.deepcopy(learner.model.state_dict())
    noisy = list(noisy_learners(learner, 2, 0.01, torch.Generator().manual_seed(0)))
    for (name, weight), one, two in zip(
        learner.model.named_parameters(), *(each.model.parameters() for each in noisy), strict=True
    ):
        moved = (one - weight).detach().norm()
        if name.endswith("weight"):
            assert float(moved) == pytest.approx(0.01 * float(weight.detach().norm()), rel=1e-2)
            assert not torch.equal(one, two)
        else:
            assert moved == 0
    assert all(torch.equal(value, before[name]) for name, value in learner.model.state_dict().items())


def test_on_one_row_the_softmax_moves() -> None:
    points, _, weight, bias = random_problem(9, count=70)
    ctx = context(points, weight, bias, torch.ones(10, 1).bool(), budget=12)
    rng = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    order = torch.from_numpy(rng.permutation(ctx.candidates))
    before = (points[order] @ weight.T + bias).softmax(1)
    moves = []
    for _ in range(30):
        noise = torch.randn(weight.shape, generator=generator)
        other = weight + noise * (1e-3 * weight.norm() / noise.norm())
        moves.append(((points[order] @ other.T + bias).softmax(1) - before) / before.norm(dim=1, keepdim=True))
    rows, distances = greedy_k_center(torch.cat(moves, 1), torch.zeros(1, 150), 12)
    found = NoiseStability().select(ctx)
    assert found.ids.tolist() == order[rows].tolist()
    torch.testing.assert_close(found.scores, distances, rtol=1e-2, atol=1e-6)
    assert distances[0] == pytest.approx(float(torch.cat(moves, 1).norm(dim=1).max()), rel=1e-3)


def test_a_pick_moves_in_another_direction_than_those_before(context: MakeContext) -> None:
    found = NoiseStability(draws=3).select(context("detection"))
    assert (found.scores[:-1] >= found.scores[1:]).all()
    assert found.scores[0] > 0


def test_the_noise_is_not_lost_in_the_rounding_of_bf16(context: MakeContext) -> None:
    """The noise is a thousandth of the weights, and bf16 has eight bits."""
    ctx = context("classification")
    fine, coarse = (
        replace(ctx, committee=(replace(ctx.learner, precision=precision),), rng=np.random.default_rng(0))
        for precision in ("fp32", "bf16")
    )
    strategy = NoiseStability(draws=3)
    np.testing.assert_array_equal(strategy.select(coarse).ids, strategy.select(fine).ids)
