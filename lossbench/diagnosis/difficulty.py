"""How hard picks are: the score that well-trained models reach on them, without having seen them.

The pool is cut into two halves, the same for all runs of a protocol. A model is trained on each half and judges the images of
the other one. In classification one minus that score is the share of images whose label a well-trained model gets wrong:
to label these teaches little. How many groups the picks of a round are from says how much they repeat each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from leaderboard.schema.records import Record
from leaderboard.site.tables import number
from lossbench.config import Protocol
from lossbench.diagnosis.examination import runs_of
from lossbench.paths import Paths
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.running.loop import Run
from lossbench.running.streams import stream
from strategies import load_strategy
from tasks.base import Ids, Task
from tasks.training.clock import Clock
from tasks.training.learner import Learner


@dataclass(frozen=True)
class Difficulty:
    """The fit of a run's model in one round, and the difficulty of its picks. Scores are of the metric that ranks."""

    labeled: int
    fit: float
    """The model's score on the images on which it was trained."""
    picks: float
    """The well-trained models' score on the picks; NaN in the last round, which has none."""
    groups: float
    """The number of groups from which the picks are; see `effective_number`."""


@dataclass(frozen=True)
class Judges:
    """Two models, each trained on one half of a pool, to judge the images of the other half.

    Args:
        task: with its true labels.
        halves: the ids on which each learner was not trained.
        learners: in the order of the halves that they judge.
    """

    task: Task[Any, Any]
    halves: tuple[Ids, Ids]
    learners: tuple[Learner, Learner]

    @classmethod
    def of(cls, run: Run) -> Judges:
        """Trained by the run's protocol, or read from `run.models`; its strategy and its seed do not matter."""
        order = stream(0, "halves").permutation(run.pool.eligible)
        first, second = np.sort(order[::2]), np.sort(order[1::2])
        plan = TrainingPlan.of(load_strategy("random"), run.protocol.loss_prediction, "shared")
        cache = ModelCache(run.models, run.task, 0, plan, Clock(run.task.unlabeled.device))
        return cls(run.task, (first, second), (cache.learner((second,))[0], cache.learner((first,))[0]))

    def score(self, ids: Ids) -> float:
        """The score on some of the pool's images; NaN without any."""
        if not len(ids):
            return float("nan")
        parts = [np.intersect1d(ids, half) for half in self.halves]
        if sum(map(len, parts)) != len(np.unique(ids)):
            msg = "some of the images are in neither half"
            raise ValueError(msg)
        raws = (
            raw for learner, part in zip(self.learners, parts, strict=True) for raw in _judged(self.task, learner, part)
        )
        return self.task.metrics(raws, np.concatenate(parts))[self.task.metric.name]

    @cached_property
    def pool_score(self) -> float:
        """The score on the whole pool."""
        return self.score(np.concatenate(self.halves))


def difficulties(record: Record, run: Run, judges: Judges) -> Iterator[Difficulty]:
    """The fit and the difficulty of every round of a run."""
    for count, one in enumerate(record.rounds):
        labeled = run.labeled(record.rounds[:count])
        (learner,), _ = run.committee(labeled, Clock(run.task.unlabeled.device), 1)
        ids = np.sort(labeled[-1])
        fit = run.asked.metrics(_judged(run.asked, learner, ids), ids)[run.task.metric.name]
        picks = judges.score(np.array(one.picked, dtype=np.int64))
        yield Difficulty(one.labeled, fit, picks, effective_number(one.group_counts))


def effective_number(counts: Sequence[int]) -> float:
    """How many groups of equal size would be as diverse (Hill 1973, of order 1): e to the entropy of the shares, from 1 on.

    NaN if all counts are 0.
    """
    shares = np.array([count for count in counts if count], dtype=np.float64)
    if not len(shares):
        return float("nan")
    shares /= shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def difficulty_table(records: Sequence[Record], paths: Paths, strategy_files: Sequence[Path] = ()) -> Table:
    """A table with one row per run and round; arguments and errors as for `runs_of`.

    The well-trained models, two for each protocol, are trained once and kept in `paths.out`.
    """
    names = (
        "task", "run", "labels", "score on its own labels", "well-trained models' score on its picks", "on the pool",
        "groups in its picks",
    )  # fmt: skip
    table = Table(*names, title="Fit, and difficulty of the picks")
    judges: Judges | None = None
    trained_by: Protocol | None = None
    for record, run in runs_of(records, paths, strategy_files):
        if judges is None or judges.task is not run.task or trained_by != run.protocol:
            judges, trained_by = Judges.of(run), run.protocol
        label, pool = f"{record.strategy}, seed {record.seed}", number(judges.pool_score, 3)
        for row in difficulties(record, run, judges):
            scores = (number(row.fit, 3), number(row.picks, 3), pool, number(row.groups, 1))
            table.add_row(record.protocol, label, f"{row.labeled:,}", *scores)
    return table


def _judged(task: Task[Any, Any], learner: Learner, ids: Ids) -> Iterator[Any]:
    """The raw outputs by which the task's metrics judge images, batch by batch."""
    for part, outputs in learner.batches(ids):
        with torch.no_grad(), learner.autocast():
            raw = task.judged(learner.model, part, outputs.raw)
        yield raw
