"""Feature mixing: the closed form against optimisation and against the form that the field uses, and what is picked."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from point_margins import ALPHA
from points import Line, context, random_problem
from scipy.optimize import minimize
from scipy.stats import entropy as relative_entropy
from torch import Tensor, nn
from torch.nn import functional
from trained_margins import CHANGED, changed_share

from lossbench.submissions.conformance import Trial
from strategies import SelectionError, Strategy
from strategies.alfa_mix import (
    AlfaMix,
    AlfaMixKL,
    AlfaMixLearned,
    AlfaMixNorm,
    AlfaMixUniform,
)
from strategies.kernels.mixing import (
    Anchors,
    MixingEffect,
    flatten,
    merge_caps,
    symmetric_divergence,
    unit_gradients,
)
from tasks.base import Posteriors
from tasks.training.learner import Learner

CAPS = (0.2, 0.4, 0.6, 0.8, 1.0)
ENTRIES = (AlfaMix, AlfaMixLearned, AlfaMixNorm, AlfaMixKL, AlfaMixUniform)


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


def test_the_closed_form_maximises_the_linearised_loss() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        point, anchor, gradient = rng.normal(size=(3, 4))
        gap, reach = anchor - point, 0.3 * np.linalg.norm(anchor - point)
        closed = reach * gradient / np.linalg.norm(gradient) / gap
        bound = {"type": "ineq", "fun": lambda alpha, gap=gap, reach=reach: reach**2 - ((alpha * gap) ** 2).sum()}
        best = minimize(
            lambda alpha, gap=gap, gradient=gradient: -(alpha * gap) @ gradient,
            np.full(4, 0.01), constraints=bound, method="SLSQP", options={"ftol": 1e-12, "maxiter": 500},
        )  # fmt: skip
        assert best.success
        np.testing.assert_allclose(closed, best.x, rtol=1e-3, atol=1e-4)
        move = reach * unit_gradients(torch.tensor(gradient)[None])[0].numpy()  # what the strategy adds to the features
        np.testing.assert_allclose(move, closed * gap, rtol=1e-6)


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


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-4, 3.0, 1e4]))
def test_the_farthest_anchor_is_found_wherever_the_points_lie(seed: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    points, means = rng.normal(offset, 1, (20, 6)).astype(np.float32), rng.normal(offset, 1, (4, 6)).astype(np.float32)
    expected = np.linalg.norm(points[:, None].astype(float) - means, axis=2).max(1)
    found = Anchors.of(torch.from_numpy(means)).farthest_distances(torch.from_numpy(points))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_directions_have_length_one_and_a_zero_gradient_has_none() -> None:
    found = unit_gradients(torch.tensor([[3.0, -4.0], [0.0, 0.0], [1e-30, 0.0], [-3e30, 4e30]]))
    torch.testing.assert_close(found, torch.tensor([[0.6, -0.8], [0.0, 0.0], [1.0, 0.0], [-0.6, 0.8]]))
    with pytest.raises(SelectionError, match="1 of 2 numbers of the gradients"):
        unit_gradients(torch.tensor([[1.0, torch.nan], [1.0, 1.0]]))


def test_an_image_without_a_gradient_is_no_candidate() -> None:
    points, means, weight, bias = random_problem(2)
    assert not flips(points, means, weight * 0, bias).any()
    certain = bias.index_fill(0, torch.tensor([1]), 1e4)  # softmax is exactly one-hot
    assert not flips(points, means, weight, certain).any()


def change_of(
    flipped: list[float], length: list[float] | None = None, divergence: list[float] | None = None
) -> MixingEffect:
    weight = torch.tensor(flipped)
    length = [1.0] * len(flipped) if length is None else length
    apart = torch.zeros_like(weight) if divergence is None else torch.tensor(divergence)
    return MixingEffect(weight, torch.where(weight >= 0.5, torch.tensor(length), torch.inf), apart)


def test_the_smallest_cap_with_more_candidates_than_the_budget_is_taken() -> None:
    asked = []

    def changes(*rows: list[float]) -> object:
        for number, row in enumerate(rows):
            asked.append(number)
            yield change_of(row, [number + 1.0] * 3, [10.0 + number] * 3)

    rows = ([0.6, 0.0, 0.2], [0.7, 0.5, 0.3], [1.0, 1.0, 1.0])
    found = merge_caps(changes(*rows), 1)
    assert found.changed_weight.tolist() == pytest.approx([0.7, 0.5, 0.3])
    assert found.distance.tolist() == [1.0, 2.0, math.inf]  # of the first cap that changes the image
    assert found.divergence.tolist() == [10.0, 11.0, 10.0]
    assert asked == [0, 1]
    assert (merge_caps(changes(*rows), 2).changed_weight >= 0.5).sum() == 3  # two candidates are not more than two
    assert (merge_caps(changes(*rows[:2]), 2).changed_weight >= 0.5).sum() == 2  # the largest cap, however few
    with pytest.raises(SelectionError, match="at least one cap"):
        merge_caps([], 2)


def candidates_of(strategy: AlfaMix, change: MixingEffect, budget: int, embeddings: Tensor | None = None) -> list[int]:
    points, _, weight, bias = random_problem(0, count=len(change.changed_weight) + 2)
    ctx = context(points, weight, bias, torch.ones(2, 1, dtype=torch.bool), budget)
    rows = (change.changed_weight >= 0.5).nonzero().squeeze(1)
    return strategy._choose(ctx, rows, points[2:] if embeddings is None else embeddings, change).tolist()


def test_clustering_looks_at_angles_and_takes_one_of_each_bundle() -> None:
    angles = torch.tensor([0.0, 0.1, 0.12, 2.0, 2.02, 2.3, 4.0, 4.01, 4.3])
    lengths = torch.tensor([50.0, 1.0, 3.0, 9.0, 1.0, 90.0, 30.0, 2.0, 4.0])[:, None]
    embeddings = lengths * torch.stack([angles.cos(), angles.sin()], 1)
    found = candidates_of(AlfaMix(), change_of([1.0] * 9), 3, embeddings)
    assert sorted(found) == [1, 4, 7]  # the middle angle of each
    assert candidates_of(AlfaMix(), change_of([1.0, 0.0, 1.0]), 2, embeddings[:3]) == [0, 2]


def test_the_other_ways_to_spread() -> None:
    change = change_of([1.0, 0.5, 0.4, 1.0, 0.9], [3.0, 1.0, 0.1, 2.0, 4.0], [0.2, 0.1, 0.9, 0.4, 0.3])
    assert candidates_of(AlfaMixNorm(), change, 3) == [1, 3, 0]
    assert candidates_of(AlfaMixKL(), change, 3) == [3, 4, 0]
    found = candidates_of(AlfaMixUniform(), change, 3)
    assert set(found) <= {0, 1, 3, 4}
    assert len(set(found)) == 3


def test_a_uniform_choice_among_candidates_is_even() -> None:
    points, _, weight, bias = random_problem(0, count=8)
    rows, change, times = torch.tensor([1, 4, 5]), change_of([1.0] * 6), np.zeros(6)
    for seed in range(300):
        ctx = context(points, weight, bias, torch.ones(2, 1, dtype=torch.bool), 1, seed=seed)
        times[AlfaMixUniform()._choose(ctx, rows, points[2:], change)] += 1
    assert times[[0, 2, 3]].sum() == 0
    assert times[[1, 4, 5]].min() > 70


def test_symmetric_divergence_by_hand() -> None:
    one, other = torch.tensor([[[0.5, 0.5, 0.0]]]), torch.tensor([[[0.25, 0.75, 0.0]]])
    weight, about = torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.long)
    found = symmetric_divergence(*(Posteriors(each.log(), weight, about) for each in (one, other)))
    expected = relative_entropy([0.5, 0.5], [0.25, 0.75]) + relative_entropy([0.25, 0.75], [0.5, 0.5])
    assert found.item() == pytest.approx(expected)
    assert symmetric_divergence(*[Posteriors(one.log(), weight, about)] * 2).item() == 0


def test_missing_candidates_are_filled_by_the_weight_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _, weight, bias = random_problem(0, count=10)
    flipped = [0.1, 0.8, 0.4, 0.0, 0.0, 0.0, 0.3, 0.0]
    monkeypatch.setattr(AlfaMix, "_closed_form", lambda *_: (points[2:], [change_of(flipped)]))
    picks = [
        AlfaMix().select(context(points, weight, bias, torch.ones(2, 1, dtype=torch.bool), 6, seed=seed)).ids.tolist()
        for seed in range(40)
    ]
    assert all(each[:4] == [3, 4, 8, 2] for each in picks)  # ids begin after the two labeled ones
    assert all(len(set(each)) == 6 for each in picks)
    assert {image for each in picks for image in each[4:]} == {5, 6, 7, 9}  # the others, at random


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


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(ENTRIES), st.integers(0, 2**32 - 1), st.integers(1, 9),
    st.sampled_from(["random", "equal", "few", "no gradient", "one class"]),
)  # fmt: skip
def test_whatever_the_features_the_picks_are_distinct(entry: type, seed: int, budget: int, form: str) -> None:
    points, _, weight, bias = random_problem(seed, count=13, size=4, classes=3)
    if form == "equal":
        points = torch.ones_like(points)
    elif form == "few":
        points = points[torch.arange(13) % 3]
    elif form == "no gradient":
        weight = weight * 0
    elif form == "one class":
        weight, bias = weight[:1], bias[:1]
    groups = torch.zeros(4, 3, dtype=torch.bool)
    groups[:, seed % 3] = seed % 2 == 0
    ids = entry().select(context(points, weight, bias, groups, budget, seed=seed)).ids
    assert len(set(ids.tolist())) == budget
    assert set(ids.tolist()) <= set(range(4, 13))


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


def test_the_entries_differ_in_a_default_only() -> None:
    plain = AlfaMix().model_dump()
    assert [dict(entry().model_dump().items() - plain.items()) for entry in ENTRIES] == [
        {}, {"alpha": "learned"}, {"spread": "norm"}, {"spread": "kl"}, {"spread": "uniform"},
    ]  # fmt: skip
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
