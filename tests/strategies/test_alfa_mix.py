"""Feature mixing: the closed form against the form that the field uses, anchors, and features that are refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from points import Line, context, random_problem
from torch import Tensor, nn
from torch.nn import functional
from trained_margins import CHANGED, changed_share

from lossbench.submissions.conformance import Trial
from strategies import SelectionError, Strategy
from strategies.alfa_mix import AlfaMix
from strategies.alfa_mix_variants import AlfaMixLearned
from strategies.kernels.mixing import flatten

CAPS = (0.2, 0.4, 0.6, 0.8, 1.0)


def field_form(points: Tensor, means: Tensor, head: nn.Module, cap: float) -> Tensor:
    """Candidates as the field finds them: autograd to the embedding, class by class, on repeated anchors."""
    leaf = points.clone().requires_grad_()
    logits = head(leaf)
    classes = logits.argmax(1)
    (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, classes), leaf)
    found = torch.zeros(len(points), dtype=torch.bool)
    for mean in means:
        anchor = mean.repeat(len(points), 1)
        gap = anchor - points
        scale = cap / math.sqrt(points.shape[1]) * gap.norm(dim=1) / gradient.norm(dim=1)
        alpha = scale[:, None] * gradient / (gap + 1e-8)
        with torch.no_grad():
            found |= head((1 - alpha) * points + alpha * anchor).argmax(1) != classes
    return found


def flips(points: Tensor, means: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Which points are candidates (n, caps) where these means are the labeled images, each a group of its own."""
    ctx = context(torch.cat([means, points]), weight, bias, torch.eye(len(means)).bool())
    _, changes = AlfaMix()._closed_form(ctx, AlfaMix()._anchors(ctx))
    return torch.stack([each.changed_weight.bool() for each in changes], 1)


def test_flips_on_a_line_by_hand() -> None:
    # Class 0 where z > 0. The loss grows towards the border, and epsilon is the cap, for D = 1.
    weight, bias, points = torch.tensor([[1.0], [-1.0]]), torch.zeros(2), torch.tensor([[1.0], [3.0], [-1.0]])
    # From 1 to -3 are 4: 1 - 4 cap < 0 from .4 on. From 3: 3 - 6 cap < 0 from .6 on. From -1: -1 + 2 cap > 0 from .6 on.
    found = flips(points, torch.tensor([[-3.0]]), weight, bias)
    assert found.tolist() == [[False, True, True, True, True]] + [[False, False, True, True, True]] * 2
    # An anchor behind is as good: from 1 to 7 are 6, 1 - 6 * .2 < 0; from -1 are 8, -1 + 8 * .2 > 0.
    found = flips(points, torch.tensor([[-3.0], [7.0]]), weight, bias)
    assert found.tolist() == [[True] * 5, [False, False, True, True, True], [True] * 5]


@pytest.mark.parametrize("seed", range(4))
def test_the_closed_form_finds_the_candidates_of_the_fields_form(seed: int) -> None:
    points, means, weight, bias = random_problem(seed)
    head = Line(weight, bias).head
    expected = torch.stack([field_form(points, means, head, cap) for cap in CAPS], 1)
    assert torch.equal(flips(points, means, weight, bias), expected)
    assert 0.05 < expected.float().mean() < 0.95


@pytest.mark.parametrize("batch", [128, 7])
def test_on_a_classifier_the_strategy_finds_the_papers_candidates(batch: int) -> None:
    points, _, weight, bias = random_problem(5)
    groups = functional.one_hot(torch.arange(20) % 5, 5).bool()
    ctx = context(points, weight, bias, groups, batch=batch)
    embeddings, changes = AlfaMix()._closed_form(ctx, AlfaMix()._anchors(ctx))
    means = torch.stack([points[:20][groups[:, each]].mean(0) for each in range(5)])
    for cap, change in zip(CAPS, changes, strict=True):
        assert torch.equal(change.changed_weight.bool(), field_form(points[20:], means, ctx.learner.model.head, cap))
        assert set(change.changed_weight.tolist()) == {0.0, 1.0}
    assert torch.equal(embeddings, points[20:])


def test_on_every_task_the_farthest_anchor_decides(kind: str, trials: Callable[[str, Strategy], Trial]) -> None:
    ctx = trials(kind, AlfaMix()).context()
    learner, reader, strategy = ctx.learner, ctx.learner.task, AlfaMix(caps=(2.0, 20.0, 100.0))
    anchors = strategy._anchors(ctx)
    _, changes = strategy._closed_form(ctx, anchors)
    ((_, outputs),) = learner.batches(ctx.candidates)
    leaves = tuple(each.requires_grad_() for each in outputs.features)
    losses = reader.losses(learner.model.head(*leaves), reader.pseudo_targets(outputs.raw))
    gradient = flatten(torch.autograd.grad(losses.sum(), leaves))
    points, before = flatten(outputs.features).detach(), reader.posteriors(outputs.raw)
    for cap, change in zip(strategy.caps, changes, strict=True):
        flipped = torch.zeros(len(points))
        for mean in anchors.center + anchors.offsets:
            gap = mean - points
            length = cap / math.sqrt(points.shape[1]) * gap.norm(dim=1) / gradient.norm(dim=1)
            moved = (points + length[:, None] * gradient).split([each[0].numel() for each in leaves], 1)
            with torch.no_grad():
                after = learner.decode(tuple(part.view_as(each) for part, each in zip(moved, leaves, strict=True)))
            changed = after.log_probs.argmax(2) != before.log_probs.argmax(2)
            flipped = torch.maximum(flipped, before.pooled(changed.float()))
        torch.testing.assert_close(change.changed_weight, flipped, atol=1e-3, rtol=0)
    CHANGED[kind].check_value(changed_share(ctx))


def test_anchors_are_group_means_and_the_mean_of_all_where_a_group_is_empty() -> None:
    points, _, weight, bias = random_problem(1, count=12)
    groups = torch.zeros(6, 3, dtype=torch.bool)
    groups[[0, 1, 3], [0, 1, 1]] = groups[0, 1] = True  # the first in two groups, the third group empty
    for batch in (128, 2):
        anchors = AlfaMix()._anchors(context(points, weight, bias, groups, batch=batch))
        expected = torch.stack([points[0], points[[0, 1, 3]].mean(0), points[:6].mean(0)])
        torch.testing.assert_close(anchors.center + anchors.offsets, expected)
    groups[5, 2] = True
    anchors = AlfaMix()._anchors(context(points, weight, bias, groups))
    expected[2] = points[5]
    torch.testing.assert_close(anchors.center + anchors.offsets, expected)
    nothing = AlfaMix()._anchors(context(points, weight, bias, groups & False))
    torch.testing.assert_close(nothing.center + nothing.offsets, points[:6].mean(0, keepdim=True))


def test_an_image_without_a_gradient_is_no_candidate() -> None:
    points, means, weight, bias = random_problem(2)
    assert not flips(points, means, weight * 0, bias).any()
    certain = bias.index_fill(0, torch.tensor([1]), 1e4)  # softmax is exactly one-hot
    assert not flips(points, means, weight, certain).any()


def test_the_direction_is_right_where_the_largest_probability_rounds_to_1() -> None:
    """Three classes, the first surer by 20 nats: from the others alone the direction would leave out the first's weights."""
    weight = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    bias, points = torch.tensor([20.0, 0.0, 0.0]), torch.tensor([[1.0, 0.5]])
    logits = points @ weight.T + bias
    assert logits.softmax(1)[0, 0] == 1, "in float32"
    anchor = torch.tensor([[-30.0, 0.5]])
    ctx = context(torch.cat([anchor, points]), weight, bias, torch.ones(1, 1).bool(), budget=1)
    _, changes = AlfaMix(caps=(0.5, 1.0))._closed_form(ctx, AlfaMix()._anchors(ctx))
    exact = Line(weight, bias).double().head
    expected = [field_form(points.double(), anchor.double(), exact, cap).tolist() for cap in (0.5, 1.0)]
    assert [each.changed_weight.bool().tolist() for each in changes] == expected == [[True], [True]]


@pytest.mark.parametrize("seed", range(3))
def test_a_sure_classifier_finds_the_candidates_of_float64(seed: int) -> None:
    points, means, weight, bias = random_problem(seed, count=200)
    sure = weight * 8
    top = (points @ sure.T + bias).log_softmax(1).amax(1)
    head = Line(sure.double(), bias.double()).double().head
    expected = torch.stack([field_form(points.double(), means.double(), head, cap) for cap in CAPS], 1)
    assert torch.equal(flips(points, means, sure, bias), expected)
    assert (top == 0).float().mean() > 0.2, "many probabilities round to 1"


def test_features_that_are_not_finite_are_refused() -> None:
    points, _, weight, bias = random_problem(0, count=12)
    groups = torch.ones(4, 1, dtype=torch.bool)
    for entry in (AlfaMix, AlfaMixLearned):
        for row in (2, 9):
            spoiled = points.clone()
            spoiled[row, 3] = torch.nan
            with pytest.raises(SelectionError, match="not finite"):
                entry().select(context(spoiled, weight, bias, groups))


def test_without_a_labeled_image_there_is_nothing_to_mix_with() -> None:
    points, _, weight, bias = random_problem(0, count=12)
    with pytest.raises(SelectionError, match="needs labeled images"):
        AlfaMix().select(context(points, weight, bias, torch.ones(0, 2, dtype=torch.bool)))
