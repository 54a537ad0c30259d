"""Our own entry: much loss draws the centers, and no cluster is picked from twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from lossbench.submissions.conformance import Trial
from strategies import Context, Strategy
from strategies.learning_loss_clusters import LearningLossClusters
from tasks.base import Ids, Outputs, TapModel
from tasks.training.learner import Learner

Trials = Callable[[str, Strategy], Trial]


class FirstTap(nn.Module):
    """Predicts what lies in the first tap."""

    def forward(self, taps: tuple[Tensor, ...]) -> Tensor:
        return taps[0]


class Given(TapModel):
    """Embeddings and losses by position among ids from 100 on."""

    def __init__(self, embeddings: Tensor, losses: Tensor) -> None:
        super().__init__()
        self.embeddings, self.losses = embeddings, losses

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        raise NotImplementedError


class Held(Learner):
    """Its outputs are given."""

    def batches(self, ids: Ids) -> Iterator[tuple[Ids, Outputs]]:
        yield ids, Outputs((self.model.losses[ids - 100],), (self.model.embeddings[ids - 100],), None)


def context(trials: Trials, embeddings: Tensor, losses: Tensor, budget: int, seed: int = 0) -> Context:
    ctx = trials("classification", LearningLossClusters()).context()
    learner = Held(ctx.learner.task, Given(embeddings, losses), auxiliary=FirstTap())
    candidates = np.arange(100, 100 + len(losses))
    return replace(ctx, budget=budget, candidates=candidates, committee=(learner,), rng=np.random.default_rng(seed))


def bundles(sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Bundles of directions, a corner of the plane each, and which bundle a point is in."""
    generator = torch.Generator().manual_seed(0)
    member = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    angles = member * 2 * torch.pi / len(sizes) + 0.02 * torch.randn(len(member), generator=generator)
    return torch.stack([angles.cos(), angles.sin()], 1), member


def test_every_bundle_is_picked_from_once(trials: Trials) -> None:
    points, member = bundles((20, 20, 20, 20))
    losses = torch.linspace(0, 1, 80)  # the last bundle has all of the highest
    found = LearningLossClusters().select(context(trials, points, losses, 4)).ids - 100
    assert sorted(member[found].tolist()) == [0, 1, 2, 3]
    top = losses.topk(4).indices
    assert set(member[top].tolist()) == {3}, "and learning loss alone would take one bundle"


def test_more_centers_stand_where_more_loss_lies(trials: Trials) -> None:
    """Points all around; the losses of one half are the higher ones."""
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(400, 2, generator=generator)
    high = points[:, 0] > points[:, 0].median()
    losses = high + 0.1 * torch.rand(400, generator=generator)
    shares = {
        power: np.mean([
            high[LearningLossClusters(power=power).select(context(trials, points, losses, 40, seed)).ids - 100].float().mean()
            for seed in range(5)
        ])
        for power in (0.0, 1.0, 6.0)
    }  # fmt: skip
    assert abs(shares[0.0] - 0.5) < 0.06
    assert shares[0.0] < shares[1.0] < shares[6.0]
    assert 0.55 < shares[1.0] < 0.9


def test_where_all_embeddings_are_equal_the_highest_losses_fill_up(trials: Trials) -> None:
    losses = torch.randn(30, generator=torch.Generator().manual_seed(2))
    found = LearningLossClusters().select(context(trials, torch.ones(30, 5), losses, 6)).ids - 100
    assert len(set(found.tolist())) == 6
    assert set(found[1:].tolist()) <= set(losses.topk(6).indices.tolist())


def test_only_the_order_of_the_predictions_counts(trials: Trials) -> None:
    points, _ = bundles((15, 25))
    losses = torch.randn(40, generator=torch.Generator().manual_seed(3))
    one = LearningLossClusters().select(context(trials, points, losses, 8)).ids
    other = LearningLossClusters().select(context(trials, points, (3 * losses).exp(), 8)).ids
    assert one.tolist() == other.tolist()
