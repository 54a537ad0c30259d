"""BADGE: draws by formed gradients, and gradients by autograd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from references import gradients_by_autograd
from tiny_contexts import CANDIDATES, MakeContext, normal
from tiny_tasks import KINDS
from torch import Tensor
from torch.nn import functional
from trained_margins import OWN_SKETCH, SKETCH, largest_sketch_error, mean_sketch_error

from strategies.badge import Badge
from strategies.kernels.clustering import k_means_plus_plus
from tasks.training.gradients import EXACT_NUMBERS, SKETCH_NUMBERS, gradient_embeddings


def formed_picks(gradients: Tensor, picks: int, rng: np.random.Generator) -> list[int]:
    """k-means++ as Arthur & Vassilvitskii write it, on gradients that are formed, with one uniform number a pick."""
    chosen: list[int] = []
    for draw in rng.random(picks):
        far = [min((g - gradients[each]).square().sum().item() for each in chosen) if chosen else 1 for g in gradients]
        sums = np.cumsum([0.0 if row in chosen else each for row, each in enumerate(far)])
        chosen.append(int(np.searchsorted(sums, draw * sums[-1], side="right")))
    return chosen


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("linear", [True, False])
def test_badge_factored_draws_what_formed_gradients_draw(seed: int, linear: bool) -> None:
    left = normal(60, 7, seed=seed) if linear else torch.ones(60, 1, dtype=torch.float64)
    right = normal(60, 11, seed=seed + 100)
    gradients = torch.einsum("na,nb->nab", left, right).flatten(1)
    found = k_means_plus_plus(left.float(), right.float(), 25, np.random.default_rng(seed))
    assert found.tolist() == formed_picks(gradients, 25, np.random.default_rng(seed))


def test_badge_picks_by_exact_gradients_where_the_head_is_small(context: MakeContext) -> None:
    for kind in ("classification", "pose", "segmentation"):
        ctx = context(kind)
        gradients = gradients_by_autograd(ctx.learner, CANDIDATES).double()
        rows = formed_picks(gradients, 5, np.random.default_rng(0))
        assert Badge().select(ctx).ids.tolist() == CANDIDATES[rows].tolist(), kind


def test_in_classification_a_gradient_is_the_residual_times_the_features(context: MakeContext) -> None:
    learner = context().learner
    ((_, outputs),) = learner.batches(CANDIDATES)
    left, right = learner.gradient_embeddings(CANDIDATES)
    predicted = functional.one_hot(outputs.raw.argmax(1), outputs.raw.shape[1])
    torch.testing.assert_close(left, outputs.raw.softmax(1) - predicted)
    assert torch.equal(right, outputs.features[0])
    formed = torch.einsum("na,nb->nab", left, right).flatten(1)
    torch.testing.assert_close(formed, gradients_by_autograd(learner, CANDIDATES), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", ["pose", "segmentation"])
def test_a_gradient_of_a_small_convolution_is_exact(kind: str, context: MakeContext) -> None:
    learner = context(kind).learner
    exact = gradients_by_autograd(learner, CANDIDATES)
    left, right = learner.gradient_embeddings(CANDIDATES)
    assert exact.shape[1] <= EXACT_NUMBERS
    assert left.tolist() == [[1.0]] * len(CANDIDATES)
    assert exact.norm(dim=1).min() > 0
    torch.testing.assert_close(right, exact, rtol=1e-3, atol=1e-5 * exact.abs().max().item())


def test_in_detection_a_sketch_keeps_inner_products(context: MakeContext) -> None:
    learner = context("detection").learner
    exact = gradients_by_autograd(learner, CANDIDATES).double()
    left, right = learner.gradient_embeddings(CANDIDATES)
    assert exact.shape[1] > EXACT_NUMBERS
    assert right.shape[1] == SKETCH_NUMBERS
    assert left.tolist() == [[1.0]] * len(CANDIDATES)
    OWN_SKETCH.check_value(largest_sketch_error(learner, exact))
    assert largest_sketch_error(learner, exact) > 5e-3, "a sketch, not the gradient"
    SKETCH.check_value(mean_sketch_error(exact))


def test_an_image_has_its_gradient_whatever_the_rest_of_its_batch(context: MakeContext) -> None:
    for kind in KINDS:
        learner = context(kind).learner
        ((_, outputs),) = learner.batches(CANDIDATES)
        together = gradient_embeddings(learner.task, learner.model.head, outputs)
        alone = replace(learner, batch=1).gradient_embeddings(CANDIDATES[3:4])
        for one, other in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], other[3], rtol=1e-3, atol=1e-4 * other.abs().max().item())
