"""The active-learning loop: train, evaluate, select, label."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from leaderboard.schema.records import Phases, Round, Split, Track
from lossbench.config import Protocol
from lossbench.running.cold_start import first_labels
from lossbench.running.machine import peak_memory_mebibytes, reset_peak_memory
from lossbench.running.model_cache import ModelCache, TrainingPlan
from lossbench.running.pool import Pool, with_label_noise
from lossbench.running.streams import stream
from lossnet import LossPredictor, ranking_accuracy
from strategies import Context, Selection, SelectionError, Strategy
from strategies.base import Oracle
from tasks.base import Ids, Task
from tasks.outside import blaming_outside
from tasks.training.clock import Clock
from tasks.training.learner import Learner
from tasks.training.loop import TrainingError

WANTED = "`select` has to return Selection(ids), the ids of ctx.budget candidates"


@dataclass(frozen=True)
class Run:
    """One strategy on one task under one seed."""

    task: Task
    protocol: Protocol
    strategy: Strategy
    seed: int
    track: Track
    split: Split
    models: Path
    """Folder of trained weights."""
    first: tuple[int, ...] = ()
    """Of a run that goes on: the first labels, where a strategy picked them."""

    @cached_property
    def pool(self) -> Pool:
        """What may be labeled."""
        return Pool.of(self.task, self.protocol)

    @cached_property
    def asked(self) -> Task:
        """The task with the labels that the oracle gives, which may be wrong."""
        return with_label_noise(self.task, self.pool, self.protocol.stress, self.seed)

    @cached_property
    def first_labels(self) -> Ids:
        """The images labeled before the first round."""
        if self.first:
            return np.array(self.first, dtype=np.int64)
        return first_labels(self.task, self.pool, self.protocol, self.seed)

    def rounds(self, done: Sequence[Round] = ()) -> Iterator[Round]:
        """The rounds after those that are done, one by one."""
        finished = list(done)
        reset_peak_memory(self.task.unlabeled.device)
        for number in range(len(done), self.protocol.budget.rounds):
            try:
                result = self._round(number, self.labeled(finished))
            except TrainingError as error:
                msg = f"{self.protocol.name}, {self.strategy.name}, seed {self.seed}, round {number}: {error}"
                raise TrainingError(msg) from None
            finished.append(result)
            yield result

    def labeled(self, done: Sequence[Round] = ()) -> tuple[Ids, ...]:
        """The labeled set of every round up to the one that follows these."""
        sets = [self.first_labels]
        for each in done:
            sets.append(np.concatenate([sets[-1], np.array(each.picked, dtype=np.int64)]))
        return tuple(sets)

    @property
    def held_out(self) -> Ids:
        """What metrics are measured on."""
        return self.task.test_ids if self.split == "test" else self.pool.validation

    def _round(self, number: int, labeled: tuple[Ids, ...]) -> Round:
        clock = Clock(self.task.unlabeled.device)
        last = number == self.protocol.budget.rounds - 1
        committee, fit_seconds = self.committee(labeled, clock, 1 if last else self.strategy.committee_size)
        metrics, evaluate_seconds = self.cache(clock).metrics(
            labeled, self.split, lambda: evaluate(self.task, committee[0], self.held_out)
        )
        picked = np.zeros(0, dtype=np.int64)
        if not last:
            picked = self.select(number, labeled, committee)
        groups = self.task.groups(picked, self.pool.group_reference).sum(0).tolist() if len(picked) else []
        return Round(
            labeled=len(labeled[-1]),
            metrics=metrics,
            picked=tuple(picked.tolist()),
            group_counts=tuple(groups),
            seconds=Phases(fit=fit_seconds, evaluate=evaluate_seconds, **clock.selection()),
            peak_memory_mebibytes=peak_memory_mebibytes(self.task.unlabeled.device),
        )

    def committee(self, labeled: tuple[Ids, ...], clock: Clock, members: int) -> tuple[tuple[Learner, ...], float]:
        """The first members of a round's committee, trained or read from `models`, and the seconds of their training."""
        cache = self.cache(clock)
        trained = [cache.learner(labeled, member) for member in range(members)]
        return tuple(learner for learner, _ in trained), sum(seconds for _, seconds in trained)

    def cache(self, clock: Clock) -> ModelCache:
        """The trained models of this run."""
        plan = TrainingPlan.of(self.strategy, self.protocol.loss_prediction, self.track)
        return ModelCache(self.models, self.asked, self.seed, plan, clock)

    def select(self, number: int, labeled: tuple[Ids, ...], committee: tuple[Learner, ...]) -> Ids:
        """The ids that are picked in a round.

        Args:
            number: of the round.
            labeled: the labeled set of every round up to this one.
            committee: trained on the last of them.

        Raises:
            SelectionError: the strategy did not return as many distinct candidates as the budget.
        """
        ctx = self.context(number, labeled, committee)
        with committee[0].clock.phase("score"), blaming_outside(WANTED):
            selection = self.strategy.select(ctx)
        return checked(selection, ctx, self.where(number))

    def context(self, number: int, labeled: tuple[Ids, ...], committee: tuple[Learner, ...]) -> Context:
        """What the strategy sees of a round; arguments as for `select`."""
        now, budget = labeled[-1], self.protocol.budget
        candidates = self.pool.candidates(self.seed, number, now, budget.subset)
        rng = stream(self.seed, "select", number)
        plan = TrainingPlan.of(self.strategy, self.protocol.loss_prediction, self.track)
        return selection_context(
            self.asked,
            self.strategy,
            committee,
            budget.step,
            candidates,
            rng,
            labeled=now,
            first_labeled=labeled[0],
            trials=Trials(plan, self.seed, self.pool.validation),
        )

    def where(self, number: int) -> str:
        """The strategy, the protocol and the round, for messages."""
        return f"{self.strategy.name} on {self.protocol.name}, round {number}"


class Trials(NamedTuple):
    """How an oracle trains models on labels that it tries."""

    plan: TrainingPlan
    seed: int
    held_out: Ids
    """What they are measured on."""


def selection_context(
    task: Task[Any, Any],
    strategy: Strategy,
    committee: tuple[Learner, ...],
    budget: int,
    candidates: Ids,
    rng: np.random.Generator,
    *,
    labeled: Ids,
    first_labeled: Ids | None = None,
    trials: Trials | None = None,
) -> Context:
    """What a strategy sees of a round.

    Args:
        task: with the labels that were given; of candidates they reach a strategy that cheats, and no other.
        strategy: the one that is about to select.
        committee: trained on `labeled`; the first is the learner that is evaluated.
        budget: how many images to pick.
        candidates: sorted pool positions.
        rng: the strategy's own source of chance.
        labeled: sorted or not; `labeled_groups` answers in this order.
        first_labeled: from which groups are learned where the task does not give them; `labeled` where not given.
        trials: for a strategy that cheats and trains models on labels that it tries.
    """
    reference = labeled if first_labeled is None else first_labeled
    return Context(
        budget=budget,
        labeled=labeled,
        candidates=candidates,
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
    if labeled := np.isin(ids, ctx.labeled).sum():
        return f"{labeled} ids that are labeled already"
    if strange := (~np.isin(ids, ctx.candidates)).sum():
        return f"{strange} ids that are no candidates"
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


def true_losses(task: Task, learner: Learner, ids: Ids) -> torch.Tensor:
    """The learner's losses (n,) under the true labels."""
    batches = learner.batches(ids)
    return torch.cat([task.unlabeled.losses(outputs.raw, task.targets(part)) for part, outputs in batches])


def evaluate(task: Task, learner: Learner, ids: Ids) -> dict[str, float]:
    """The task's metrics on held-out images, and how well the predicted losses rank the true ones.

    `ranking_accuracy` is that of the shared LossNet; `auxiliary_ranking_accuracy` that of a strategy's own loss predictor.

    Raises:
        TrainingError: one of them is not finite; the last training step can leave such weights.
    """
    predictors = {"ranking_accuracy": learner.lossnet, "auxiliary_ranking_accuracy": learner.auxiliary}
    predictors = {name: module for name, module in predictors.items() if isinstance(module, LossPredictor)}
    losses: list[torch.Tensor] = []
    predicted: dict[str, list[torch.Tensor]] = {name: [] for name in predictors}

    def judged() -> Iterator[object]:
        for part, outputs in learner.batches(ids):
            with torch.no_grad(), learner.autocast():
                raw = task.judged(learner.model, part, outputs.raw)
            losses.append(task.unlabeled.losses(outputs.raw, task.targets(part)))
            for name, module in predictors.items():
                with torch.no_grad():
                    predicted[name].append(module.predict_losses(outputs.read_by(module)))
            yield raw

    metrics = task.metrics(judged(), ids)
    truth = torch.cat(losses).cpu()
    metrics["loss"] = float(truth.mean())
    for name in predictors:
        metrics[name] = ranking_accuracy(torch.cat(predicted[name]).cpu(), truth)
    for name, value in metrics.items():
        if not math.isfinite(value):
            msg = f"after the last training step, {name} on the held-out images is not finite ({value})"
            raise TrainingError(msg)
    return metrics
