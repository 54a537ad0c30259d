"""What the loop gives a strategy: a committee of its size, and true losses only if it cheats."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from tiny_learners import MakeTask
from tiny_tasks import FAST_ON_ONE_KIND
from trying_strategies import Trier

from lossbench.config import LossPrediction
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.running.loop import Run
from lossbench.submissions.conformance import LABELED, same_tensors, tiny_protocol, weights
from strategies import Context, Selection, Strategy
from strategies.base import highest
from strategies.random import Random
from strategies.true_loss import TrueLoss
from tasks.base import Task
from tasks.settings import Stress
from tasks.training.clock import Clock


class Disagreement(Strategy):
    """Picks where two models differ most."""

    name: ClassVar[str] = "disagreement"
    paper: ClassVar[str] = "a test"

    @property
    def committee_size(self) -> int:
        return 2

    def select(self, ctx: Context) -> Selection:
        one, other = (
            torch.cat([each.log_probs.exp().flatten(1) for each in learner.posteriors(ctx.candidates)])
            for learner in ctx.committee
        )
        return highest(ctx, (one - other).abs().sum(1))


class Onlooker(Strategy):
    """Picks like nobody and keeps what it was shown."""

    name: ClassVar[str] = "onlooker"
    paper: ClassVar[str] = "a test"
    shown: ClassVar[list[Context]] = []

    def select(self, ctx: Context) -> Selection:
        self.shown.append(ctx)
        return Selection(ctx.candidates[: ctx.budget])


@FAST_ON_ONE_KIND
def test_a_committee_goes_through_the_loop(task: Task, kind: str, tmp_path: Path) -> None:
    protocol = tiny_protocol(kind)
    alone, pair = (
        list(Run(task, protocol, strategy, 0, "shared", "test", tmp_path).rounds())
        for strategy in (Random(), Disagreement())
    )
    assert [one.labeled for one in pair] == [12, 18, 24]
    assert pair[0].metrics == alone[0].metrics, "member 0 is the learner that every strategy has"
    assert len(list(tmp_path.glob("*.safetensors"))) == 3 + (2 + 2 + 1) - 1, (
        "round 0 of member 0 is shared, and nobody else is trained where nothing is picked"
    )
    needs = TrainingPlan.of(Disagreement(), LossPrediction(), "shared")
    fits = ModelCache(tmp_path, task, 0, needs, Clock())
    one, other = (fits.learner((LABELED,), member)[0].model for member in (0, 1))
    assert not same_tensors(weights(one), weights(other))


@FAST_ON_ONE_KIND
def test_a_cheating_strategy_gets_true_losses(task: Task, kind: str, tmp_path: Path) -> None:
    run = Run(task, tiny_protocol(kind), TrueLoss(), 0, "shared", "test", tmp_path)
    first = next(run.rounds())
    Onlooker.shown.clear()
    next(Run(task, tiny_protocol(kind), Onlooker(), 0, "shared", "test", tmp_path).rounds())
    (ctx,) = Onlooker.shown
    (_, outputs), *_ = ctx.learner.batches(ctx.candidates)
    losses = task.unlabeled.losses(outputs.raw, task.targets(ctx.candidates))
    best = ctx.candidates[losses.argsort(descending=True, stable=True)[:6].numpy()]
    assert list(first.picked) == best.tolist()


@FAST_ON_ONE_KIND
def test_an_oracle_tells_the_score_that_the_next_round_then_has_on_the_validation_slice(
    task: Task, kind: str, tmp_path: Path
) -> None:
    Trier.scores.clear()
    run = Run(task, tiny_protocol(kind), Trier(), 0, "shared", "validation", tmp_path)
    first, second, _ = run.rounds()
    assert Trier.scores[0] == second.metrics[task.metric.name]
    assert len(first.picked) == 6
    assert len(list(tmp_path.glob("*.safetensors"))) == 3, "what was only tried is not kept"


def test_groups_of_the_labeled_images_are_those_of_the_labels_that_were_given(
    tiny_task: MakeTask, tmp_path: Path
) -> None:
    Onlooker.shown.clear()
    noisy = tiny_protocol("pose").model_copy(update={"stress": Stress(label_noise=0.4)})
    run = Run(tiny_task("pose"), noisy, Onlooker(), 0, "shared", "test", tmp_path)
    list(run.rounds())
    for ctx in Onlooker.shown:
        given = ctx.labeled_groups()
        assert torch.equal(given, run.asked.groups(ctx.labeled, run.first_labels))
        assert not torch.equal(given, run.task.groups(ctx.labeled, run.first_labels))
    last = Onlooker.shown[-1]
    assert not torch.equal(last.labeled_groups(), run.asked.groups(last.labeled, last.labeled))


@FAST_ON_ONE_KIND
def test_nobody_else_is_given_the_oracle(task: Task, kind: str, tmp_path: Path) -> None:
    Onlooker.shown.clear()
    list(Run(task, tiny_protocol(kind), Onlooker(), 0, "shared", "test", tmp_path).rounds())
    assert [ctx.oracle for ctx in Onlooker.shown] == [None, None]
    assert [len(ctx.labeled) for ctx in Onlooker.shown] == [12, 18]
    for ctx in Onlooker.shown:
        assert ctx.labeled_groups().shape == (len(ctx.labeled), len(task.group_names))
        assert not hasattr(ctx.learner.task, "targets")
        assert not hasattr(ctx.learner.task, "annotations")
