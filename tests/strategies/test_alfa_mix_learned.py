"""Feature mixing with a learned alpha: its steps, and what it finds."""

from __future__ import annotations

import pytest
import torch
from point_margins import ALPHA
from points import Line, context, random_problem
from torch import Tensor
from torch.nn import functional

from strategies.alfa_mix_variants import AlfaMixLearned
from tasks.training.learner import Learner


def test_alpha_takes_a_step_of_adam_up_the_loss_and_stays_in_its_cube() -> None:
    points, means, weight, bias = random_problem(3, count=40)
    head = Line(weight, bias).head
    targets, gap = head(points).argmax(1), means[0] - points

    def losses(alpha: Tensor) -> Tensor:
        return functional.cross_entropy(head(points + alpha * gap), targets, reduction="none")

    start = torch.full_like(points, 0.2).requires_grad_()
    aim = 0.01 * start.norm(dim=1) - losses(start)
    (gradient,) = torch.autograd.grad(aim.sum(), start)
    one = AlfaMixLearned(steps=1).learned_alpha(losses, torch.full_like(points, 0.2), 0.25)
    torch.testing.assert_close(one, (0.2 - 0.1 * gradient.sign()).clamp(0, 0.25), atol=1e-5, rtol=0)
    five = AlfaMixLearned().learned_alpha(losses, torch.full_like(points, 0.2), 0.4)
    assert five.min() == 0
    assert five.max() == pytest.approx(0.4)
    assert all(each.grad is None for each in head.parameters())


def test_a_learned_alpha_raises_nearly_every_loss() -> None:
    ALPHA.check()


def test_a_learned_alpha_finds_the_candidates_that_mixing_can_reach() -> None:
    # Class 0 where z > 0. From 1 towards -3, alpha up to .2 gives 1 - .8 > 0, up to .4 gives 1 - 1.6 < 0.
    points = torch.tensor([[-3.0], [-3.0], [1.0], [9.0]])
    ctx = context(points, torch.tensor([[1.0], [-1.0]]), torch.zeros(2), torch.ones(2, 1, dtype=torch.bool), 1)
    strategy = AlfaMixLearned(steps=20, norm_coefficient=0.0)
    _, changes = strategy._learned(ctx, strategy._anchors(ctx))
    assert [change.changed_weight.tolist() for change in changes] == [[0, 0], [1, 0], [1, 0], [1, 1], [1, 1]]


def test_learning_passes_over_the_candidates_once_where_the_first_cap_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, _, weight, bias = random_problem(4)
    groups = functional.one_hot(torch.arange(20) % 5, 5).bool()
    asked: list[int] = []
    forward = Learner.batches
    monkeypatch.setattr(Learner, "batches", lambda self, ids: (asked.append(len(ids)), forward(self, ids))[1])
    AlfaMixLearned(caps=(1.0, 2.0)).select(context(points, weight, bias, groups, 3))
    assert asked == [20, 280]
    asked.clear()
    AlfaMixLearned(caps=(1e-6, 1.0, 2.0)).select(context(points, weight, bias, groups, 3))
    assert asked == [20, 280, 280]
