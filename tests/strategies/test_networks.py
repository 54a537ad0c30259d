"""What strategies share that train networks of their own: batches, flips, steps that are watched, and clear errors."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pictures import Corner, context, noise
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

from strategies.base import SelectionError
from strategies.kernels.networks import (
    CheckedOptimizer,
    Epochs,
    endless_batches,
    ordered_batches,
    random_flip,
    shuffled_batches,
    train,
)
from strategies.pal import PAL
from strategies.ta_vaal import TAVAAL
from strategies.vaal import VAAL


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_an_epoch_holds_every_image_once_in_batches_alike(count: int, batch: int, seed: int) -> None:
    ids = np.arange(count) * 3 + 1
    parts = shuffled_batches(ids, batch, np.random.default_rng(seed))
    sizes = [len(part) for part in parts]
    assert sorted(np.concatenate(parts).tolist()) == ids.tolist()
    assert len(parts) == Epochs(ids, batch, 1, np.random.default_rng()).steps
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


def test_batches_go_on_without_end_in_ever_new_orders() -> None:
    first, second = (
        np.concatenate(
            list(islice(endless_batches(np.arange(50), 25, np.random.default_rng(0)), start, start + 2))
        ).tolist()
        for start in (0, 2)
    )
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second != sorted(second)


def test_scoring_goes_through_images_in_their_order() -> None:
    assert [part.tolist() for part in ordered_batches(np.array([4, 9, 2, 7, 5]), 2)] == [[4, 9], [2, 7], [5]]


def test_half_of_the_images_are_mirrored() -> None:
    images = torch.rand(200, 3, 2, 4)
    found = random_flip(images, np.random.default_rng(0))
    same = (found == images).flatten(1).all(1)
    assert torch.equal(found[~same], images[~same].flip(3))
    assert 70 <= same.sum() <= 130


def test_training_takes_a_step_for_each_batch_and_slows_down_after_epochs() -> None:
    weight = nn.Parameter(torch.zeros(()))
    optimizer = SGD([weight], 1.0)
    epochs = Epochs(np.arange(6), 2, 4, np.random.default_rng(0))
    train(optimizer, epochs, lambda ids: weight * len(ids) / 2, "loss", StepLR(optimizer, 2, 0.1))
    # Three steps of gradient 1 an epoch: two epochs at rate 1, two at rate 0.1.
    assert weight.item() == pytest.approx(-6.6)
    assert epochs.steps == 12


def test_the_first_step_whose_loss_is_not_finite_is_named() -> None:
    weight = nn.Parameter(torch.ones(()))
    descent = CheckedOptimizer(SGD([weight], 0.0), 9, "loss of a test")
    descent.check()
    for factor in (1.0, 2.0):
        descent.step(weight * factor)
    descent.check()
    for factor in (torch.inf, 1.0, torch.nan):
        descent.step(weight * factor)
    with pytest.raises(SelectionError, match="the loss of a test is not finite at step 3 of 9"):
        descent.check()


def test_a_step_follows_its_own_loss_alone() -> None:
    weight = nn.Parameter(torch.zeros(()))
    (weight * 100).backward()
    CheckedOptimizer(SGD([weight], 1.0), 1, "loss").step(weight * 2)
    assert weight.item() == -2


@pytest.mark.parametrize("strategy", [PAL, VAAL])
def test_without_a_labeled_image_there_is_a_clear_error(strategy: type) -> None:
    with pytest.raises(SelectionError, match="needs one labeled image and one candidate"):
        strategy.smoke().select(context(noise(4, 100), 0, 1))


@pytest.mark.parametrize("strategy", [PAL, VAAL, TAVAAL])
@pytest.mark.parametrize(("labeled", "candidates", "budget"), [(1, 1, 1), (1, 9, 3), (9, 1, 1), (9, 4, 4)])
def test_few_images_are_enough(strategy: type, labeled: int, candidates: int, budget: int) -> None:
    ctx = context(noise(labeled + candidates, 120), labeled, budget, lossnet=Corner())
    found = strategy.smoke().select(ctx)
    assert len(set(found.ids.tolist())) == budget
    assert set(found.ids.tolist()) <= set(ctx.candidates.tolist())
    assert torch.isfinite(found.scores).all()


@pytest.mark.parametrize(
    ("strategy", "whose"), [(PAL, "PAL's scoring network"), (VAAL, "VAAL's autoencoder")], ids=["pal", "vaal"]
)
def test_networks_that_diverge_are_refused(strategy: type, whose: str) -> None:
    wild = strategy.smoke().model_copy(update={"learning_rate": 1e30, "epochs": 3})
    with pytest.raises(SelectionError, match=rf"loss of {whose} is not finite at step \d of \d+; lower learning_rate"):
        wild.select(context(noise(60, 120), 30, 5))
