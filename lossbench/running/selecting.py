"""What a strategy sees of a round, and checks of what it returns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lossbench.running.evaluation import evaluate, true_losses
from lossbench.running.kept.models import ModelCache, TrainingPlan
from strategies import Context, Selection, SelectionError, Strategy
from strategies.base import Oracle
from tasks.base import Ids, Task
from tasks.outside.errors import blaming_outside, place_of
from tasks.training.clock import Clock
from tasks.training.learner import Learner

WANTED = "`select` has to return Selection(ids), the ids of ctx.budget candidates"


class Trials(NamedTuple):
    """How an oracle trains models on labels that it tries."""

    plan: TrainingPlan
    seed: int
    held_out: Ids
    """What they are measured on."""


class Choice(NamedTuple):
    """What is picked from in a round, and how much."""

    labeled: Ids
    """Sorted or not; `Context.labeled_groups` answers in this order."""
    candidates: Ids
    """Sorted."""
    budget: int
    """How many images to pick."""
    first_labeled: Ids | None = None
    """From which groups are learned where the task does not give them; `labeled` where not given."""


def selection_context(
    task: Task[Any, Any],
    strategy: Strategy,
    committee: tuple[Learner, ...],
    choice: Choice,
    rng: np.random.Generator,
    trials: Trials | None = None,
) -> Context:
    """What a strategy sees of a round.

    Args:
        task: with the labels that were given; of candidates they reach a strategy that cheats, and no other.
        strategy: the one that is about to select.
        committee: trained on the labeled images; the first is the learner that is evaluated.
        choice: pool positions.
        rng: the strategy's own source of chance.
        trials: for a strategy that cheats and trains models on labels that it tries.
    """
    labeled = choice.labeled
    reference = labeled if choice.first_labeled is None else choice.first_labeled
    return Context(
        budget=choice.budget,
        labeled=labeled,
        candidates=choice.candidates,
        committee=committee,
        rng=rng,
        labeled_groups=lambda: task.groups(labeled, reference),
        oracle=oracle_of(task, committee[0], labeled, trials) if strategy.cheats else None,
    )


def oracle_of(task: Task[Any, Any], learner: Learner, labeled: Ids, trials: Trials | None) -> Oracle:
    """What a strategy that cheats may ask.

    Args:
        task: with the labels of all images.
        learner: whose true losses are given.
        labeled: what models are trained on, beside the picks that are tried.
        trials: how; None where no model can be trained.
    """

    def score_after(picks: Ids) -> float:
        if trials is None or not len(trials.held_out):
            msg = "picks can be tried in a run alone, and on a protocol with a validation slice"
            raise SelectionError(msg)
        cache = ModelCache(Path(), task, trials.seed, trials.plan, Clock(task.unlabeled.device))
        found = cache.tried(np.concatenate([labeled, picks]))
        score = evaluate(task, found, trials.held_out)[task.metric.name]
        return score if task.metric.larger_is_better else -score

    return Oracle(lambda ids: true_losses(task, learner, ids), score_after)


@contextmanager
def selecting(where: str) -> Iterator[None]:
    """While a strategy picks, every fault of its code is one line that names the line of its file.

    Args:
        where: the strategy, and what it picks from, for messages.

    Raises:
        SelectionError: the strategy could not pick; says where.
        OutsideError: code from outside raised another error.
    """
    try:
        with blaming_outside():
            yield
    except SelectionError as error:
        place = place_of(error)
        msg = f"{where}: {error}{f' ({place})' if place else ''}"
        raise SelectionError(msg) from error


def checked(selection: object, ctx: Context, where: str) -> Ids:
    """The picked ids.

    Raises:
        SelectionError: no `Selection`, or one of too few or too many ids, of repeated or labeled ones, or of no candidates.
    """
    if not isinstance(selection, Selection):
        msg = f"{where}: the strategy returned a {type(selection).__name__}; {WANTED}"
        raise SelectionError(msg)
    try:
        ids = np.asarray(selection.ids)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors on a GPU or with gradients
        msg = f"{where}: the strategy returned ids that are no vector of integers ({error}); {WANTED}"
        raise SelectionError(msg) from None
    if fault := _fault(ids, ctx) or _score_fault(selection.scores, ctx.budget):
        msg = f"{where}: the strategy returned {fault}"
        raise SelectionError(msg)
    return ids.astype(np.int64)


def _fault(ids: NDArray[Any], ctx: Context) -> str | None:
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        return f"ids of shape {ids.shape} and type {ids.dtype}; a vector of integers is wanted"
    if ids.size != ctx.budget:
        return f"{ids.size} ids; the budget is {ctx.budget}"
    if twice := ids.size - np.unique(ids).size:
        return f"{twice} ids twice"
    advice = "; give ctx.candidates[positions], not positions" if ids.max() < len(ctx.candidates) else ""
    if labeled := np.isin(ids, ctx.labeled).sum():
        return f"{labeled} ids that are labeled already{advice}"
    if strange := (~np.isin(ids, ctx.candidates)).sum():
        return f"{strange} ids that are no candidates{advice}"
    return None


def _score_fault(scores: object, budget: int) -> str | None:
    if scores is None:
        return None
    if not isinstance(scores, torch.Tensor) or scores.shape != (budget,):
        given = (
            f"of shape {tuple(scores.shape)}" if isinstance(scores, torch.Tensor) else f"in a {type(scores).__name__}"
        )
        return f"scores {given}; a tensor of {budget} numbers is wanted, or None"
    if bad := int(scores.isnan().sum()):
        return f"{bad} scores that are not a number"
    return None
