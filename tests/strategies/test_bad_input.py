"""Every strategy on input that breaks algorithms: a clear error or a valid selection, and always an end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_tasks import FAST_ON_ONE_KIND
from torch import Tensor

from lossbench.running.selecting import checked
from lossbench.submissions.conformance import Trial
from strategies import STRATEGIES, Context, SelectionError, Strategy
from tasks.base import TapModel, UnlabeledTask
from tasks.images.pixels import Pixels
from tasks.training.learner import Learner

BLIND = ("random", "true-loss")
"""Strategies that do not look at what the model says; the true loss comes from the oracle."""
OWN_NETWORKS = ("pal", "vaal")
"""Strategies that look at images only, with networks of their own."""


class EqualPixels(Pixels):
    """Every image is the first."""

    def __init__(self, pixels: Pixels) -> None:
        vars(self).update(vars(pixels))

    def _gathered(self, ids: np.ndarray) -> Tensor:
        return super()._gathered(np.zeros_like(ids))


def equal_images(learner: Learner) -> Learner:
    """All images, and so all embeddings and posteriors, are equal."""
    task: UnlabeledTask = copy.copy(learner.task)
    task._pixels = EqualPixels(task._pixels)
    return replace(learner, task=task)


def scaled_head(factor: float) -> Callable[[Learner], Learner]:
    """0: the model says the same of all; large: it is so sure that gradients vanish and logarithms overflow."""

    def of(learner: Learner) -> Learner:
        model: TapModel = copy.deepcopy(learner.model)
        with torch.no_grad():
            for weights in model.head.parameters():
                weights.mul_(factor)
        return replace(learner, model=model)

    return of


def filled(value: float) -> Callable[[Learner], Learner]:
    """All weights are one number: 0, where nothing reaches the embeddings, or none at all."""

    def of(learner: Learner) -> Learner:
        model: TapModel = copy.deepcopy(learner.model)
        with torch.no_grad():
            for weights in model.parameters():
                weights.fill_(value)
        return replace(learner, model=model)

    return of


def context(
    trial: Trial, broken: Callable[[Learner], Learner], budget: int, count: int, groups: Tensor | None = None
) -> Context:
    """The trial's context with broken learners, so many picks and candidates, and given groups of the labeled."""
    ctx = trial.context()
    return replace(
        ctx,
        budget=budget,
        candidates=trial.candidates[:count],
        committee=tuple(broken(each) for each in ctx.committee),
        labeled_groups=ctx.labeled_groups if groups is None else lambda: groups,
    )


FAULTS = {
    "equal images": equal_images,
    "silent head": scaled_head(0.0),
    "loud head": scaled_head(1e4),
    "silent model": filled(0.0),
}
SOME_KINDS = ("classification", "detection", "segmentation", "pose")


@pytest.mark.parametrize("fault", range(len(FAULTS)), ids=list(FAULTS))
@pytest.mark.parametrize("number", range(len(STRATEGIES)), ids=[each.name for each in STRATEGIES])
def test_whatever_is_degenerate_the_selection_is_valid(
    number: int, fault: int, trials: Callable[[str, Strategy], Trial]
) -> None:
    strategy, rng = STRATEGIES[number].smoke(), np.random.default_rng((number, fault))
    trial = trials(SOME_KINDS[(number + fault) % len(SOME_KINDS)], strategy)
    count = int(rng.integers(1, 12, endpoint=True))
    wide = trial.context().labeled_groups()
    one_group = torch.zeros_like(wide)
    one_group[:, 0] = True
    groups = (None, torch.zeros_like(wide), one_group)[rng.integers(3)]
    ctx = context(trial, list(FAULTS.values())[fault], int(rng.integers(1, count, endpoint=True)), count, groups)
    selection = strategy.select(ctx)
    checked(selection, ctx, strategy.name)
    assert selection.scores is None or not torch.isnan(selection.scores).any()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_all_candidates_can_be_picked(strategy: type[Strategy], trials: Callable[[str, Strategy], Trial]) -> None:
    trial = trials("classification", strategy.smoke())
    ctx = context(trial, lambda learner: learner, 9, 9)
    assert sorted(trial.strategy.select(ctx).ids) == sorted(ctx.candidates)


@FAST_ON_ONE_KIND
@pytest.mark.parametrize(
    "strategy", [each for each in STRATEGIES if each.name not in (*BLIND, *OWN_NETWORKS)], ids=lambda each: each.name
)
def test_what_is_not_a_number_is_refused(
    strategy: type[Strategy], kind: str, trials: Callable[[str, Strategy], Trial]
) -> None:
    trial = trials(kind, strategy.smoke())
    ctx = context(trial, filled(torch.nan), 3, 12)
    with pytest.raises(SelectionError, match=r"not finite|NaN in"):
        trial.strategy.select(ctx)


def test_more_picks_than_candidates_are_refused(trials: Callable[[str, Strategy], Trial]) -> None:
    trial = trials("classification", STRATEGIES[0].smoke())
    with pytest.raises(SelectionError, match="13 images are to be picked, and there are 12 candidates"):
        context(trial, lambda learner: learner, 13, 12)
