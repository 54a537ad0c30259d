"""Our second entry: what its loss predictor reads, what it learns from it, and the picks that follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from points import context_of_losses
from tiny_contexts import CANDIDATES, MakeContext
from tiny_learners import MakeLearner

from lossnet import ListwiseObjective, RankingObjective, ranking_accuracy
from strategies.kernels.herding import coverage, smallest_distance
from strategies.kernels.information import uncertainty_statistics
from strategies.learning_loss_herding import LearningLossHerding, PredictionObjective
from strategies.max_herding import MaxHerding
from tasks.base import Posteriors
from tasks.training.readings import readings


def directions(count: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_the_predictor_reads_taps_and_then_the_predictions(kind: str, context: MakeContext) -> None:
    learner = context(kind).learner
    _, outputs = next(learner.batches(CANDIDATES))
    taps = readings(learner.task, outputs, RankingObjective())
    more = readings(learner.task, outputs, PredictionObjective())
    assert [tap is other for tap, other in zip(taps, more[:-1], strict=True)] == [True] * len(taps)
    assert torch.equal(more[-1], uncertainty_statistics(learner.task.posteriors(outputs.raw)))
    assert not more[-1].requires_grad


def test_the_predictor_of_a_run_reads_the_same(kind: str, trained: MakeLearner) -> None:
    learner = trained(kind, LearningLossHerding())
    assert learner.auxiliary.tap_count == len(next(learner.batches(CANDIDATES))[1].taps) + 1
    assert learner.predicted_losses(learner.auxiliary, CANDIDATES).shape == (len(CANDIDATES),)


def test_it_learns_from_predictions_what_taps_do_not_show() -> None:
    """Losses are one minus the largest probability; the taps are noise."""
    generator = torch.Generator().manual_seed(0)

    def batch(count: int = 64) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        log_probs = (3 * torch.randn(count, 1, 5, generator=generator)).log_softmax(2)
        ones = torch.ones(count, 1)
        statistics = uncertainty_statistics(Posteriors(log_probs, ones, ones.long()))
        return (torch.randn(count, 8, generator=generator), statistics), 1 - log_probs.exp().amax((1, 2))

    accuracies = {}
    for objective, read in ((PredictionObjective(width=16), 2), (ListwiseObjective(width=16), 1)):
        torch.manual_seed(0)
        module = objective.build(batch()[0][:read])
        optimizer = torch.optim.Adam(module.parameters(), 1e-2)
        for _ in range(60):
            inputs, losses = batch()
            optimizer.zero_grad()
            objective.loss(module, inputs[:read], losses, 0.0).backward()
            optimizer.step()
        inputs, losses = batch(2048)
        accuracies[read] = ranking_accuracy(module.eval()(inputs[:read]).detach(), losses)
    assert accuracies[2] > 0.9
    assert 0.4 < accuracies[1] < 0.6


CLASSIFIER = torch.randn(3, 6, generator=torch.Generator().manual_seed(3))
"""Its predictions are of different certainty."""


def test_picks_are_greedy_coverage_weighted_by_the_share_of_lower_losses() -> None:
    points, losses = directions(60), torch.randn(60, generator=torch.Generator().manual_seed(1))
    found = LearningLossHerding().select(context_of_losses(points, losses, 12, labeled=15, classifier=CLASSIFIER))
    known, candidates = points[:15].double(), points[15:].double()
    radius = smallest_distance(points[:15])
    largest = (candidates @ CLASSIFIER.double().T).softmax(1).topk(2).values
    uncertainty = (1 - largest[:, 0] + largest[:, 1]).numpy()
    shares = (losses[15:, None] >= losses[None, 15:]).double().mean(1) ** (uncertainty.std() / uncertainty.mean())
    kernel = torch.exp(-((torch.cdist(candidates, candidates) / radius) ** 2))
    covered, expected = coverage(candidates, known, radius), []
    for _ in range(12):
        gain = shares @ (kernel - covered.unsqueeze(1)).clamp(min=0) / 45
        expected.append(float(gain.max()))
        covered = torch.maximum(covered, kernel[gain.argmax()])
    assert found.scores.tolist() == pytest.approx(expected, abs=1e-5)


def test_only_the_order_of_the_predicted_losses_counts() -> None:
    points, losses = directions(50), torch.randn(50, generator=torch.Generator().manual_seed(2))
    one, other = (
        LearningLossHerding().select(context_of_losses(points, values, 9, labeled=5, classifier=CLASSIFIER)).ids
        for values in (losses, (3 * losses).exp())
    )
    assert one.tolist() == other.tolist()


@pytest.mark.parametrize("alike", ["losses", "certain predictions", "uncertain predictions"])
def test_where_nothing_tells_images_apart_it_is_max_herding_of_the_same_radius(alike: str) -> None:
    points, losses = directions(50), torch.arange(50.0)
    classifier = {"losses": CLASSIFIER, "certain predictions": None, "uncertain predictions": torch.zeros(3, 6)}[alike]
    if alike == "losses":
        losses = torch.zeros(50)
    radius = smallest_distance(points[:5])
    one, other = (
        strategy.select(context_of_losses(points, losses, 9, labeled=5, classifier=classifier)).ids
        for strategy in (LearningLossHerding(), MaxHerding(radius=radius))
    )
    assert one.tolist() == other.tolist()


def test_the_more_the_uncertainty_differs_the_higher_are_the_losses_of_the_picks() -> None:
    points, losses = directions(400), torch.rand(400, generator=torch.Generator().manual_seed(4))
    means = []
    for sharpness in (0.0, 3.0, 200.0):
        ctx = context_of_losses(points, losses, 20, labeled=5, classifier=sharpness * CLASSIFIER)
        means.append(float(losses[LearningLossHerding().select(ctx).ids].mean()))
    assert means == sorted(means)
    assert means[0] < 0.6
    assert means[2] > 0.75


def test_a_larger_pool_is_reduced() -> None:
    points, losses = directions(50), torch.arange(50.0)
    found = LearningLossHerding(most_candidates=9).select(context_of_losses(points, losses, 9, labeled=5)).ids
    whole = LearningLossHerding().select(context_of_losses(points, losses, 9, labeled=5)).ids
    assert len(np.unique(found)) == 9
    assert set(found) != set(whole)
