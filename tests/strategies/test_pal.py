"""PAL: its scores by hand, and its network on images whose kinds are easy to tell apart."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_margins import PAL_CLASS, PAL_NOVEL, PAL_SCORE, PAL_TUNED
from pictures import SIDE, context, noise
from torch import Tensor, nn
from torch.nn import functional

from lossbench.submissions.conformance import same_tensors, weights
from strategies.pal import (
    PAL,
    ScoringNetwork,
    all_rotations,
    group_loss,
    group_scores,
    group_targets,
    rotation_loss,
    rotation_scores,
    sub_queries,
)


class Compass(nn.Module):
    """Takes an image for rotated as often as the corner is away from the upper left in which it is white."""

    def forward(self, images: Tensor) -> Tensor:
        corners = torch.stack([images[:, 0, y, x] for y, x in ((0, 0), (-1, 0), (-1, -1), (0, -1))], 1)
        return 100 * corners


def test_rotation_scores_are_those_of_four_looks_at_an_image() -> None:
    images = torch.zeros(3, 3, 2, 2)
    images[0, :, 0, 0] = 1  # upright: all four rotations are known
    images[1, :, 1, 0] = 1  # as if rotated already: none is
    logits = Compass()(all_rotations(images)).unflatten(0, (4, 3))
    # Of the black image nothing is known: a quarter for each rotation.
    torch.testing.assert_close(rotation_scores(logits), torch.tensor([-4.0, 0.0, -1.0]))
    assert rotation_loss(logits).item() == pytest.approx((0 + 100 + math.log(4)) / 3)


def test_the_rotation_loss_is_cross_entropy_of_which_rotation_it_is() -> None:
    logits = torch.randn(4, 5, 4, generator=torch.Generator().manual_seed(0))
    expected = functional.cross_entropy(logits.flatten(0, 1), torch.arange(4).repeat_interleave(5))
    torch.testing.assert_close(rotation_loss(logits), expected)


def test_the_scoring_network_puts_the_true_rotation_where_the_score_looks() -> None:
    network = ScoringNetwork(8, "cifar", 3).eval()
    images = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        logits = network(images)
        assert (logits.rotation.shape, logits.group.shape) == ((4, 2, 4), (2, 3))
        for times in range(4):
            alone = network(images.rot90(times, (2, 3)))
            torch.testing.assert_close(alone.rotation[0], logits.rotation[times], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(images[1:]).group, logits.group[1:], rtol=1e-4, atol=1e-5)


def test_the_class_score_of_a_uniform_prediction_is_0() -> None:
    logits = torch.tensor([[2.0, 2.0], [0.0, math.log(3)]])
    # KL(U || (1/4, 3/4)) = 1/2 ln 2 + 1/2 ln 2/3 = 1/2 ln 4/3.
    assert group_scores(logits).tolist() == pytest.approx([0.0, -0.5 * math.log(4 / 3)], abs=1e-6)
    assert group_scores(torch.randn(5, 1)).tolist() == [0.0] * 5


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=6))
def test_the_class_score_is_minus_a_divergence(values: list[float]) -> None:
    logits = torch.tensor([values])
    uniform = torch.full_like(logits, 1 / len(values))
    expected = -functional.kl_div(logits.log_softmax(1), uniform, reduction="sum")
    assert group_scores(logits).item() == pytest.approx(expected.item(), abs=1e-4)
    assert group_scores(logits).item() <= 1e-5


def test_with_one_class_an_image_the_class_loss_is_cross_entropy() -> None:
    logits, classes = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3, 1, 1, 2, 0])
    groups = functional.one_hot(classes, 4).bool()
    torch.testing.assert_close(group_loss(logits, group_targets(groups)), functional.cross_entropy(logits, classes))


def test_an_image_of_several_groups_has_all_of_them_and_one_of_none_counts_for_nothing() -> None:
    groups = torch.tensor([[True, True, False, False], [False] * 4])
    targets = group_targets(groups)
    assert targets.tolist() == [[0.5, 0.5, 0, 0], [0] * 4]
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [9.0, 5.0, 1.0, 0.0]])
    assert group_loss(logits, targets).item() == pytest.approx(math.log(4))
    assert group_loss(logits[1:], targets[1:]).item() == 0


@pytest.mark.parametrize(
    ("budget", "share", "sizes"),
    [
        (2500, 512 / 2500, [512, 512, 512, 512, 452]),
        (6, 0.5, [3, 3]),
        (7, 0.5, [4, 3]),
        (3, 0.01, [1, 1, 1]),
        (5, 1.0, [5]),
        (1, 0.2, [1]),
    ],
)
def test_a_budget_is_split_into_sub_queries(budget: int, share: float, sizes: list[int]) -> None:
    assert sub_queries(budget, share) == sizes


class Scripted(PAL):
    """PAL whose networks' scores stand in a table: what was seen before the sub-query -> S_S of each candidate."""

    looks: list[tuple[list[int], list[int]]]

    def _trained(self, ctx):
        return []

    def _tuned(self, ctx, network, picks):
        assert network == [], "each copy starts from the network that was trained on the labeled images"
        return picks.tolist()

    def _scores(self, ctx, network, ids):
        self.looks.append((network, ids.tolist()))
        rotation = {2: -1.0, 3: -2.0, 4: -2.5, 5: -4.0}
        tuned = {(): rotation, (2,): {3: -4.0, 4: -1.0, 5: -2.5}, (2, 4): {3: -2.0, 5: -1.5}}[tuple(network)]
        values = [tuned[image] for image in ids.tolist()]
        return torch.tensor(values), torch.tensor([-0.5 if image == 3 else 0.0 for image in ids.tolist()])


def test_sub_queries_add_the_novelty_to_all_picks_so_far() -> None:
    ctx = context(noise(6, 100), 2, 3)
    pal = Scripted(sub_query=0.1, looks=[], diversity_weight=2.0, class_weight=3.0)
    found = pal.select(ctx)
    # Base: 2 -> -1, 3 -> -3.5, 4 -> -2.5, 5 -> -4. Then 3 -> -11.5, 4 -> -4.5, 5 -> -9. Then 3 -> -7.5, 5 -> -7.
    assert found.ids.tolist() == [2, 4, 5]
    assert found.scores.tolist() == [-1.0, -4.5, -7.0]
    assert pal.looks == [([], [2, 3, 4, 5]), ([2], [3, 4, 5]), ([2, 4], [3, 5])]


def test_without_the_diversity_score_nothing_is_fine_tuned() -> None:
    pal = Scripted(sub_query=0.1, looks=[], diversity_weight=0.0)
    assert pal.select(context(noise(6, 100), 2, 3)).ids.tolist() == [2, 3, 4]
    assert len(pal.looks) == 1


def test_fine_tuning_teaches_a_copy_the_rotations_of_the_picks() -> None:
    ctx = context(noise(12, 100), 8, 2)
    network = ScoringNetwork(8, "cifar", 3).eval()
    before = copy.deepcopy(network)
    tuned = PAL.smoke()._tuned(ctx, network, ctx.candidates[:3])
    assert same_tensors(weights(network), weights(before))
    assert not torch.equal(tuned.rotation.weight, network.rotation.weight)
    assert not torch.equal(tuned.stages.stem[0].weight, network.stages.stem[0].weight)
    assert torch.equal(tuned.group.weight, network.group.weight), "the class head has no part in it"
    assert not any(each.training for network in (tuned, network) for each in network.modules())


def test_the_score_of_an_image_does_not_depend_on_its_batch() -> None:
    ctx = context(noise(20, 100), 8, 2, groups=torch.eye(8, dtype=torch.bool))
    network = PAL.smoke()._trained(ctx)
    alone, together = (
        PAL.smoke().model_copy(update={"batch": batch})._scores(ctx, network, ctx.candidates) for batch in (1, 64)
    )
    for one, other in zip(alone, together, strict=True):
        assert one.shape == (12,)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_pal_picks_the_kind_that_it_has_not_seen() -> None:
    PAL_NOVEL.check()
    PAL_SCORE.check()


def test_after_fine_tuning_what_looks_like_the_picks_is_no_longer_novel() -> None:
    PAL_TUNED.check()


@pytest.mark.slow  # it trains for five seconds
def test_pal_picks_the_class_that_it_takes_for_none() -> None:
    """With rotations left out of the score: bright and dark are the classes, the gray ones are neither."""
    PAL_CLASS.check()
