"""The active-learning loop: train, evaluate, select, label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from leaderboard.schema.records import Phases, Round, Split, Track
from lossbench.config import Protocol
from lossbench.running.cold_start import first_labels
from lossbench.running.evaluation import evaluate
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.running.machine import peak_memory_mebibytes, reset_peak_memory
from lossbench.running.pool import Pool, with_label_noise
from lossbench.running.selecting import Choice, Trials, checked, selecting, selection_context
from lossbench.running.streams import stream
from strategies import Context, Strategy
from tasks.base import Ids, Task
from tasks.progress import report
from tasks.training.clock import Clock
from tasks.training.learner import Learner
from tasks.training.loop import TrainingError
from tasks.training.processes.parallel import require_agreement


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
            labeled, self.held_out, lambda ids: evaluate(self.task, committee[0], ids)
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
        report(f"round {number}, picking {ctx.budget:,} of {len(ctx.candidates):,} images")
        with committee[0].clock.phase("score"), selecting(self.where(number)):
            selection = self.strategy.select(ctx)
        picked = checked(selection, ctx, self.where(number))
        require_agreement(picked.tobytes(), f"the picks of {self.where(number)}")
        return picked

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
            Choice(now, candidates, budget.step, labeled[0]),
            rng,
            Trials(plan, self.seed, self.pool.validation),
        )

    def where(self, number: int) -> str:
        """The strategy, the protocol and the round, for messages."""
        return f"{self.strategy.name} on {self.protocol.name}, round {number}"
