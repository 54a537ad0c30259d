"""LearningLoss++: its divergence by hand, its module on taps of any shape, and that the model never feels it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from columns import column
from hypothesis import given
from hypothesis import strategies as st
from loss_margins import MEANS, PLACES
from scipy.stats import entropy as relative_entropy
from torch import Tensor

from lossbench.config import LossPrediction
from lossbench.measuring.replay import OutputBank
from lossbench.running.evaluation import evaluate
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.submissions.conformance import LABELED, Trial, same_tensors, weights
from lossnet import (
    DivergenceObjective,
    LossNet,
    MultiScaleLossNet,
    divergence_loss,
)
from lossnet.multiscale import halving_count
from strategies import Context, Strategy
from strategies.learning_loss import LearningLoss
from strategies.learning_loss_pp import LearningLossPlusPlus
from tasks.base import Task
from tasks.training.clock import Clock

CIFAR = ((64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4))
SSD300 = ((512, 38, 38), (1024, 19, 19), (512, 10, 10), (256, 5, 5), (256, 3, 3), (256, 1, 1))
HOURGLASS = ((16, 64, 64), (16, 64, 64))


def taps(shapes: tuple[tuple[int, ...], ...], count: int = 3, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, *shape, generator=generator) for shape in shapes]


def test_the_divergence_by_hand() -> None:
    predicted, losses = column(0.2, 0.1, 0.9, 0.5), column(4, 2, 3, 1)
    # Pairs (0, 3) and (1, 2): losses (4, 1) / 5 and (2, 3) / 5 against the softmax of their predictions.
    one = relative_entropy([0.8, 0.2], np.exp([0.2, 0.5]) / np.exp([0.2, 0.5]).sum())
    other = relative_entropy([0.4, 0.6], np.exp([0.1, 0.9]) / np.exp([0.1, 0.9]).sum())
    assert divergence_loss(predicted, losses).item() == pytest.approx((one + other) / 2)


def test_the_gradient_is_the_guessed_share_less_the_true_one() -> None:
    predicted = column(0.2, 0.1, 0.9, 0.5).requires_grad_()
    losses = column(4, 2, 3, 1).requires_grad_()
    divergence_loss(predicted, losses * 2).backward()
    one, other = 1 / (1 + math.exp(0.3)), 1 / (1 + math.exp(0.8))
    expected = [one - 0.8, other - 0.4, 0.4 - other, 0.8 - one]
    assert predicted.grad.tolist() == pytest.approx([each / 2 for each in expected])
    assert losses.grad is None


def test_equal_losses_want_equal_predictions() -> None:
    for losses in (column(3, 3), column(0, 0)):
        predicted = column(1.5, 1.5).requires_grad_()
        divergence_loss(predicted, losses).backward()
        assert predicted.grad.tolist() == pytest.approx([0, 0])
        assert divergence_loss(column(1.5, 1.5), losses).item() == pytest.approx(0)
        assert divergence_loss(column(1.5, 1.7), losses).item() > 1e-3


def test_a_loss_of_zero_pushes_its_prediction_down_without_end() -> None:
    predicted = column(0, 1).requires_grad_()
    loss = divergence_loss(predicted, column(2, 0))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(1 + math.e))
    assert predicted.grad.tolist() == pytest.approx([-math.e / (1 + math.e), math.e / (1 + math.e)])


@given(st.lists(st.floats(0, 100, width=32), min_size=2, max_size=9), st.floats(0.01, 100), st.floats(-50, 50))
def test_neither_the_scale_of_losses_nor_the_level_of_predictions_counts(
    losses: list[float], scale: float, shift: float
) -> None:
    true = torch.tensor(losses).round(decimals=2)
    predicted = torch.linspace(-1, 1, len(losses)).square()
    found = divergence_loss(predicted, true)
    assert found >= -1e-6
    torch.testing.assert_close(divergence_loss(predicted + shift, true * scale), found, atol=1e-4, rtol=1e-4)


def test_an_odd_last_item_is_left_out_and_one_alone_costs_nothing() -> None:
    expected = divergence_loss(column(0.2, 0.1, 0.9, 0.5), column(4, 2, 3, 1))
    losses = column(4, 2, 3, 1, math.nan)
    assert torch.equal(divergence_loss(column(0.2, 0.1, 0.9, 0.5, 7.0), losses), expected)
    alone = column(3.0).requires_grad_()
    divergence_loss(alone, column(1)).backward()
    assert alone.grad.tolist() == [0]


@pytest.mark.parametrize(
    ("shapes", "steps"),
    [
        (CIFAR, [1, 1, 1, 2]),
        (SSD300, [1, 1, 1, 1, 2, 0]),
        (HOURGLASS, [0, 6]),
        (((8, 4, 4), (8, 16, 16)), [2, 2]),  # coarse before fine
        (((8, 7, 9), (8, 5, 5), (6,)), [0, 3, 0]),  # no halving leads from 7 x 9 to 5 x 5
        (((5,),), [0]),
    ],
)
def test_maps_of_any_extent_end_in_one_number_per_image(shapes: tuple, steps: list[int]) -> None:
    found = taps(shapes)
    module = MultiScaleLossNet.for_taps(found, width=12)
    assert [len(each) for each in module.down] == steps
    with torch.no_grad():
        whole = module(found)
        single = torch.cat([module([tap[i : i + 1] for tap in found]) for i in range(3)])
    assert whole.shape == (3,)
    torch.testing.assert_close(whole, single, atol=1e-5, rtol=1e-4)  # images do not mix


def test_every_tap_is_read_and_every_parameter_learns() -> None:
    found = [tap.requires_grad_() for tap in taps(CIFAR)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = MultiScaleLossNet.for_taps(found, width=32)
    module(found).square().sum().backward()
    assert all(tap.grad.any() for tap in found)
    assert all(each.grad is not None and bool(each.grad.any()) for each in module.parameters())


@pytest.mark.parametrize(("extent", "wanted", "count"), [
    ((64, 64), (4, 4), 4), ((19, 19), (10, 10), 1), ((5, 3), (1, 1), 3), ((1, 1), (1, 1), 0), ((7, 7), (5, 5), 0),
    ((4, 4), (4, 4), 0), ((3, 3), (4, 4), 0), ((8, 2), (2, 1), 2), ((8, 2), (2, 2), 0),
])  # fmt: skip
def test_halving_stops_before_it_falls_below(extent: tuple[int, int], wanted: tuple[int, int], count: int) -> None:
    assert halving_count(extent, wanted) == count


@pytest.mark.parametrize("count", [1, 5])
def test_a_wrong_number_of_taps_is_refused(count: int) -> None:
    module = MultiScaleLossNet.for_taps(taps(CIFAR), width=4)
    with pytest.raises(ValueError, match=f"built for 4 taps and was given {count}"):
        module((taps(CIFAR) * 2)[:count])


def test_no_tap_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one tap"):
        MultiScaleLossNet([])


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_the_model_never_feels_it(progress: float) -> None:
    found = [tap.requires_grad_() for tap in taps(CIFAR, 4)]
    objective = DivergenceObjective(weight=0.25, width=4)
    module = objective.build(found)
    assert isinstance(module, MultiScaleLossNet)
    loss = objective.loss(module, found, column(4, 2, 3, 1), progress)
    loss.backward()
    assert all(tap.grad is None for tap in found)
    assert all(each.grad is not None for each in module.parameters())
    with torch.no_grad():
        expected = divergence_loss(module(found), column(4, 2, 3, 1))
    assert loss.item() == pytest.approx(0.25 * expected.item())


def test_it_ranks_losses_that_only_the_place_tells() -> None:
    PLACES.check()
    MEANS.check()


def test_the_models_weights_are_the_same_with_and_without_it(task: Task, kind: str, tmp_path: object) -> None:
    learners = []
    for strategy in (LearningLoss(), LearningLossPlusPlus()):
        fits = ModelCache(tmp_path, task, 3, TrainingPlan.of(strategy, LossPrediction(), "shared"), Clock())
        learners.append(fits.learner((LABELED,))[0])
    plain, beside = learners
    assert plain.auxiliary is None
    assert isinstance(beside.auxiliary, MultiScaleLossNet)
    assert same_tensors(weights(plain.model), weights(beside.model))
    assert same_tensors(weights(plain.lossnet), weights(beside.lossnet))
    assert 0 <= evaluate(task, beside, task.test_ids)["auxiliary_ranking_accuracy"] <= 1
    ((_, outputs),) = beside.batches(LABELED)
    assert beside.lossnet.tap_count == len(outputs.taps)
    assert beside.auxiliary.tap_count == (3 if kind == "pose" else len(outputs.taps))
    expected = beside.auxiliary(outputs.scales or outputs.taps)
    torch.testing.assert_close(beside.predicted_losses(beside.auxiliary, LABELED), expected)
    bank = OutputBank.of(beside).replay()
    ctx = Context(3, LABELED, np.arange(20, 40), (bank,), np.random.default_rng(0), lambda: torch.zeros(12, 1).bool())
    assert len(LearningLossPlusPlus().select(ctx).ids) == 3


def test_in_the_native_track_it_is_alone_and_detached(task: Task, kind: str) -> None:
    needs = TrainingPlan.of(LearningLossPlusPlus(), LossPrediction(), "native")
    assert needs.lossnet is None
    assert needs.auxiliary == DivergenceObjective()
    assert needs.auxiliary.detach_after == 0


def test_the_strategy_picks_its_modules_highest_predictions(
    kind: str, trials: Callable[[str, Strategy], Trial]
) -> None:
    ctx = trials(kind, LearningLossPlusPlus()).context()
    ((_, outputs),) = ctx.learner.batches(ctx.candidates)
    with torch.no_grad():
        values, order = ctx.learner.auxiliary(outputs.scales or outputs.taps).topk(ctx.budget)
    found = LearningLossPlusPlus().select(ctx)
    assert found.ids.tolist() == ctx.candidates[order.numpy()].tolist()
    torch.testing.assert_close(found.scores, values)
    assert isinstance(ctx.learner.lossnet, LossNet)
