"""Strategies that break the contract, each in one way: all are refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
import torch
from tiny_learners import MakeLearner, MakeTask

from lossbench.submissions import conformance
from lossbench.submissions.conformance import CHECKS, Check, Trial
from strategies import Context, Selection, SelectionError, Strategy
from strategies.base import highest
from strategies.random import Random
from tasks.base import Task


class Broken(Strategy):
    """The part that broken strategies share."""

    name: ClassVar[str] = "broken"
    paper: ClassVar[str] = "none"

    def select(self, ctx: Context) -> Selection:
        self.harm(ctx)
        return Selection(ctx.candidates[: ctx.budget])

    def harm(self, ctx: Context) -> None:
        """What it does besides picking."""


class TooFew(Broken):
    def select(self, ctx: Context) -> Selection:
        return Selection(ctx.candidates[: ctx.budget - 1])


class TooMany(Broken):
    def select(self, ctx: Context) -> Selection:
        return Selection(ctx.candidates[: ctx.budget + 1])


class Repeats(Broken):
    def select(self, ctx: Context) -> Selection:
        return Selection(np.append(ctx.candidates[: ctx.budget - 1], ctx.candidates[0]))


class Labeled(Broken):
    def select(self, ctx: Context) -> Selection:
        return Selection(np.append(ctx.candidates[: ctx.budget - 1], ctx.labeled[0]))


class Foreign(Broken):
    def select(self, ctx: Context) -> Selection:
        unlisted = np.setdiff1d(np.arange(ctx.candidates.max()), np.concatenate([ctx.candidates, ctx.labeled]))
        return Selection(np.append(ctx.candidates[: ctx.budget - 1], unlisted[0]))


class Positions(Broken):
    """Confuses positions among the candidates with ids."""

    def select(self, ctx: Context) -> Selection:
        return Selection(np.arange(len(ctx.candidates))[-ctx.budget :])


class Fractions(Broken):
    def select(self, ctx: Context) -> Selection:
        return Selection._make((ctx.candidates[: ctx.budget].astype(np.float64), None))


class NotANumber(Broken):
    def select(self, ctx: Context) -> Selection:
        return Selection(ctx.candidates[: ctx.budget], torch.full((ctx.budget,), torch.nan))


class ChangesWeights(Broken):
    def harm(self, ctx: Context) -> None:
        with torch.no_grad():
            next(iter(ctx.learner.model.parameters())).add_(1e-6)


class ChangesLossNet(Broken):
    def harm(self, ctx: Context) -> None:
        with torch.no_grad():
            ctx.learner.lossnet.last.bias.add_(1)


class MovesStatistics(Broken):
    """Forwards in training mode, which moves the running statistics, and puts the mode back."""

    def harm(self, ctx: Context) -> None:
        ctx.learner.model.train()
        ctx.learner.model(ctx.learner.task.images(ctx.candidates[:4]))
        ctx.learner.model.eval()


class LeavesTrainingMode(Broken):
    def harm(self, ctx: Context) -> None:
        ctx.learner.model.train()


class LeavesGradients(Broken):
    def harm(self, ctx: Context) -> None:
        taps, _ = ctx.learner.model.trunk(ctx.learner.task.images(ctx.candidates[:2]))
        taps[0].sum().backward()


class Freezes(Broken):
    def harm(self, ctx: Context) -> None:
        ctx.learner.model.requires_grad_(False)


class WritesToTheLearner(Broken):
    def harm(self, ctx: Context) -> None:
        object.__setattr__(ctx.learner, "memory", ctx.candidates)


class UsesTheGlobalGenerator(Broken):
    def select(self, ctx: Context) -> Selection:
        return Selection(ctx.candidates[torch.randperm(len(ctx.candidates)).numpy()[: ctx.budget]])


class DrawsGlobally(Broken):
    """Its picks do not depend on the global generator, but those of others after it do."""

    def harm(self, ctx: Context) -> None:
        torch.rand(1)


class SeedsGlobally(Broken):
    """Its picks are reproducible, and the state that it leaves is always the same."""

    def select(self, ctx: Context) -> Selection:
        torch.manual_seed(0)
        return Selection(ctx.candidates[torch.randperm(len(ctx.candidates)).numpy()[: ctx.budget]])


class KnowsTheSeeds(Broken):
    """Sees through checks that seed the global generator with small numbers."""

    def select(self, ctx: Context) -> Selection:
        known = torch.initial_seed() < 100
        return Selection(np.sort(ctx.candidates)[: ctx.budget] if known else ctx.candidates[self._chosen(ctx)])

    def _chosen(self, ctx: Context) -> np.ndarray:
        return np.random.permutation(len(ctx.candidates))[: ctx.budget]  # noqa: NPY002


class Exits(Broken):
    def harm(self, ctx: Context) -> None:
        raise SystemExit(0)


class Remembers(Broken):
    calls: ClassVar[list[int]] = []

    def select(self, ctx: Context) -> Selection:
        self.calls.append(1)
        return Selection(np.roll(ctx.candidates, len(self.calls))[: ctx.budget])


class Warns(Broken):
    def harm(self, ctx: Context) -> None:
        warnings.warn("hello", stacklevel=1)


def peeking(task: Task) -> Strategy:
    """A strategy that holds the task, where only a reader is to be had."""

    class Peeks(Broken):
        def select(self, ctx: Context) -> Selection:
            outputs = [outputs.raw for _, outputs in ctx.learner.batches(ctx.candidates)]
            return highest(ctx, ctx.learner.task.losses(outputs[0], task.targets(ctx.candidates)))

    return Peeks()


REFUSED: list[tuple[type[Strategy], Check, type[Exception], str]] = [
    (TooFew, conformance.selection_is_valid, SelectionError, "returned 5 ids; the budget is 6"),
    (
        TooMany,
        conformance.selection_is_valid,
        SelectionError,
        "returned 7 ids; the budget is 6",
    ),
    (Repeats, conformance.selection_is_valid, SelectionError, "returned 1 ids twice"),
    (Labeled, conformance.selection_is_valid, SelectionError, "1 ids that are labeled already"),
    (Foreign, conformance.selection_is_valid, SelectionError, "1 ids that are no candidates"),
    (Positions, conformance.selection_is_valid, SelectionError, "that are no candidates"),
    (
        Fractions,
        conformance.selection_is_valid,
        SelectionError,
        "a vector of integers is wanted",
    ),
    (NotANumber, conformance.selection_is_valid, SelectionError, "not a number"),
    (ChangesWeights, conformance.models_are_unchanged, AssertionError, "weights of model 0 have changed"),
    (ChangesLossNet, conformance.models_are_unchanged, AssertionError, "weights of lossnet 0 have changed"),
    (MovesStatistics, conformance.models_are_unchanged, AssertionError, "weights of model 0 have changed"),
    (LeavesTrainingMode, conformance.models_are_unchanged, AssertionError, "left in training mode"),
    (LeavesGradients, conformance.models_are_unchanged, AssertionError, "left with gradients"),
    (Freezes, conformance.models_are_unchanged, AssertionError, "requires_grad of model 0 has changed"),
    (WritesToTheLearner, conformance.learners_are_unchanged, AssertionError, "were added or deleted"),
    (UsesTheGlobalGenerator, conformance.picks_are_reproducible, AssertionError, "not a function of"),
    (KnowsTheSeeds, conformance.picks_are_reproducible, AssertionError, "not a function of"),
    (SeedsGlobally, conformance.global_generators_are_unchanged, AssertionError, "global generator"),
    (Remembers, conformance.picks_are_reproducible, AssertionError, "not a function of"),
    (DrawsGlobally, conformance.global_generators_are_unchanged, AssertionError, "global generator"),
    (Warns, conformance.no_warning_is_raised, UserWarning, "hello"),
]


@pytest.mark.parametrize(("broken", "check", "error", "reason"), REFUSED, ids=[each[0].__name__ for each in REFUSED])
def test_a_broken_strategy_is_refused(
    broken: type[Strategy],
    check: Check,
    error: type[Exception],
    reason: str,
    tiny_task: MakeTask,
    trained: MakeLearner,
) -> None:
    learner = trained("classification", Random())  # its own: it will be harmed
    with pytest.raises(error, match=reason):
        check(Trial(tiny_task("classification"), broken(), (learner,)))


def test_a_state_that_an_earlier_check_left_hides_nothing(trials: Callable[[str, Strategy], Trial]) -> None:
    trial = trials("classification", SeedsGlobally())
    faults = [conformance._run_check(check, trial) for check in (*CHECKS, *CHECKS)]
    assert [fault for fault in faults if fault] == 2 * [
        "the state of a global generator has changed; draw from ctx.rng"
    ]


def test_checks_put_the_global_generators_back(trials: Callable[[str, Strategy], Trial]) -> None:
    torch.manual_seed(7)
    wanted = torch.rand(1)
    torch.manual_seed(7)
    for check in CHECKS:
        assert conformance._run_check(check, trials("classification", Broken())) == ""
    assert torch.equal(torch.rand(1), wanted)


def test_a_strategy_that_ends_the_program_has_a_fault(trials: Callable[[str, Strategy], Trial]) -> None:
    fault = conformance._run_check(conformance.selection_is_valid, trials("classification", Exits()))
    assert fault == "SystemExit: 0"


def test_the_strategy_that_only_lacks_the_harm_passes(trials: Callable[[str, Strategy], Trial]) -> None:
    for check in CHECKS:
        check(trials("classification", Broken()))


def test_a_strategy_that_peeks_at_labels_is_refused(task: Task, kind: str, trained: MakeLearner) -> None:
    before = task.annotations.copy()
    trial = Trial(task, peeking(task), (trained(kind, Random()),))
    with pytest.raises(AssertionError, match="depend on labels"):
        conformance.picks_ignore_hidden_labels(trial)
    assert all(one is other or np.all(one == other) for one, other in zip(before, task.annotations, strict=True))
