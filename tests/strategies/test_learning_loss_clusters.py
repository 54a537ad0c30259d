"""Our own entry: much loss draws the centers, and no cluster is picked from twice."""

from __future__ import annotations

import pytest
import torch
from margin import Margin
from point_margins import EVEN, MORE, MOST, WEIGHED
from points import context_of_losses
from torch import Tensor

from strategies.learning_loss_clusters import LearningLossClusters


def bundles(sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Bundles of directions, a corner of the plane each, and which bundle a point is in."""
    generator = torch.Generator().manual_seed(0)
    member = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    angles = member * 2 * torch.pi / len(sizes) + 0.02 * torch.randn(len(member), generator=generator)
    return torch.stack([angles.cos(), angles.sin()], 1), member


def test_every_bundle_is_picked_from_once() -> None:
    points, member = bundles((20, 20, 20, 20))
    losses = torch.linspace(0, 1, 80)  # the last bundle has all of the highest
    found = LearningLossClusters().select(context_of_losses(points, losses, 4)).ids
    assert sorted(member[found].tolist()) == [0, 1, 2, 3]
    top = losses.topk(4).indices
    assert set(member[top].tolist()) == {3}, "and learning loss alone would take one bundle"


@pytest.mark.parametrize("margin", [EVEN, WEIGHED, MORE, MOST], ids=["power 0", "power 1", "1 over 0", "6 over 1"])
def test_more_centers_stand_where_more_loss_lies(margin: Margin) -> None:
    margin.check()


def test_where_all_embeddings_are_equal_the_highest_losses_fill_up() -> None:
    losses = torch.randn(30, generator=torch.Generator().manual_seed(2))
    found = LearningLossClusters().select(context_of_losses(torch.ones(30, 5), losses, 6)).ids
    assert len(set(found.tolist())) == 6
    assert set(found[1:].tolist()) <= set(losses.topk(6).indices.tolist())


def test_only_the_order_of_the_predictions_counts() -> None:
    points, _ = bundles((15, 25))
    losses = torch.randn(40, generator=torch.Generator().manual_seed(3))
    one = LearningLossClusters().select(context_of_losses(points, losses, 8)).ids
    other = LearningLossClusters().select(context_of_losses(points, (3 * losses).exp(), 8)).ids
    assert one.tolist() == other.tolist()
