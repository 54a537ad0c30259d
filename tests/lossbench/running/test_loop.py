"""The loop: how a run goes on from its record, what a round holds, and what each phase is charged for."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from timeless_rounds import timeless
from tiny_learners import MakeTask
from tiny_tasks import FAST_ON_ONE_KIND, with_recipe

from lossbench.config import LossPrediction
from lossbench.running.evaluation import true_losses
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.running.loop import Run
from lossbench.running.pool import Pool
from lossbench.submissions.conformance import tiny_protocol
from strategies import Context, Selection, Strategy
from strategies.core_set import CoreSet
from strategies.entropy import Entropy
from strategies.learning_loss import LearningLossMSE
from strategies.random import Random
from tasks.base import Task
from tasks.settings import Stress
from tasks.training.clock import Clock


@pytest.mark.parametrize(
    ("track", "strategy"),
    [
        ("shared", Random),
        ("native", LearningLossMSE),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (("native", Random), ("shared", LearningLossMSE), ("shared", CoreSet), ("native", CoreSet))
        ),
    ],
)
def test_a_run_goes_on_from_its_record_as_if_never_stopped(
    strategy: type[Strategy], track: str, run: Callable[..., Run]
) -> None:
    whole = list(run(strategy(), track=track, folder="whole").rounds())
    for done in (1, 2):
        rest = list(run(strategy(), track=track, folder=f"rest-{done}").rounds(whole[:done]))
        assert timeless(rest) == timeless(whole[done:])
    assert list(run(strategy(), track=track).rounds(whole)) == []


@pytest.mark.slow
def test_a_warm_started_run_goes_on_as_if_never_stopped(classification: Task, run: Callable[..., Run]) -> None:
    task = copy.copy(classification)
    task.settings = with_recipe(task.settings, {"warm_start": True})
    changes = {"task": task, "protocol": tiny_protocol("classification", warm_start=True)}
    whole = list(run(Entropy(), folder="whole", **changes).rounds())
    rest = list(run(Entropy(), folder="rest", **changes).rounds(whole[:2]))
    assert timeless(rest) == timeless(whole[2:])
    cold = list(run(Entropy(), folder="cold").rounds())
    assert timeless(cold)[0] == timeless(whole)[0]
    assert timeless(cold)[1] != timeless(whole)[1]


class Timed(Random):
    """Times a phase under a name of its own."""

    def select(self, ctx: Context) -> Selection:
        """Random picks, after a while."""
        with ctx.learner.clock.phase("dreaming"):
            time.sleep(0.05)
        return super().select(ctx)


def test_what_a_strategy_times_by_itself_is_scoring(run: Callable[..., Run]) -> None:
    assert next(run(Timed()).rounds()).seconds.score > 0.05


def test_the_last_round_picks_nothing(run: Callable[..., Run]) -> None:
    assert [len(one.picked) for one in run().rounds()] == [6, 6, 0]
    assert [one.group_counts == () for one in run().rounds()] == [False, False, True]


@FAST_ON_ONE_KIND
def test_every_round_says_how_well_losses_are_ranked(kind: str, task: Task, tmp_path: Path) -> None:
    protocol = tiny_protocol(kind)
    made = list(Run(task, protocol, LearningLossMSE(), 0, "shared", "test", tmp_path).rounds())
    for one in made:
        assert 0 < one.metrics["ranking_accuracy"] < 1
        assert 0 < one.metrics["auxiliary_ranking_accuracy"] < 1
    assert any(one.metrics["ranking_accuracy"] != one.metrics["auxiliary_ranking_accuracy"] for one in made)
    native = next(Run(task, protocol, Random(), 0, "native", "test", tmp_path).rounds())
    assert "ranking_accuracy" not in native.metrics


def test_ranking_accuracy_is_that_of_predictions_and_losses_on_the_test_images(
    classification: Task, run: Callable[..., Run], tmp_path: Path
) -> None:
    first = next(run().rounds())
    needs = TrainingPlan.of(Random(), LossPrediction(), "shared")
    protocol = tiny_protocol("classification")
    initial = Pool.of(classification, protocol).initial(0, 12)
    learner, _ = ModelCache(tmp_path / "models", classification, 0, needs, Clock()).learner((initial,))
    losses = true_losses(classification, learner, classification.test_ids)
    predicted = learner.predicted_losses(learner.lossnet, classification.test_ids)
    pairs = [(one, other) for one in range(24) for other in range(one)]
    right = [(losses[one] > losses[other]) == (predicted[one] > predicted[other]) for one, other in pairs]
    assert first.metrics["ranking_accuracy"] == pytest.approx(float(np.mean(right)))
    assert first.metrics["loss"] == pytest.approx(losses.mean().item())


def test_choices_are_measured_on_the_validation_slice(classification: Task, run: Callable[..., Run]) -> None:
    held_out = list(run(split="validation").rounds())
    tested = list(run(split="test").rounds())
    assert [one.picked for one in held_out] == [one.picked for one in tested]
    assert all(one.metrics["loss"] != other.metrics["loss"] for one, other in zip(held_out, tested, strict=True))
    assert (held_out[0].metrics["accuracy"] * 12) % 1 == pytest.approx(0, abs=1e-9)


def test_group_counts_are_the_classes_of_the_picks(classification: Task, run: Callable[..., Run]) -> None:
    for one in list(run(Entropy()).rounds())[:-1]:
        labels = classification.annotations[list(one.picked)]
        assert list(one.group_counts) == np.bincount(labels, minlength=len(classification.group_names)).tolist()
        assert sum(one.group_counts) == 6


def test_groups_of_picks_mean_the_same_under_every_seed(tiny_task: MakeTask, tmp_path: Path) -> None:
    """Pose clusters are fitted: on the whole pool, not on the labels that a seed begins with."""
    pose, protocol = tiny_task("pose"), tiny_protocol("pose")
    for seed in (0, 1):
        run = Run(pose, protocol, Random(), seed, "shared", "test", tmp_path)
        first = next(run.rounds())
        assert list(first.group_counts) == pose.groups(np.array(first.picked), run.pool.eligible).sum(0).tolist()


def test_groups_of_picks_are_those_that_imbalance_made_rare(tiny_task: MakeTask, tmp_path: Path) -> None:
    pose, clean = tiny_task("pose"), tiny_protocol("pose")
    rare = clean.model_copy(update={"stress": Stress(imbalance=3.0)})
    run = Run(pose, rare, Random(), 0, "shared", "test", tmp_path)
    first, whole = next(run.rounds()), Pool.of(pose, clean).eligible
    assert len(run.pool.eligible) < len(whole)
    assert list(first.group_counts) == pose.groups(np.array(first.picked), whole).sum(0).tolist()


def test_seconds_are_those_of_the_phases(run: Callable[..., Run]) -> None:
    first, *_, last = list(run(CoreSet()).rounds())
    assert min(first.seconds.fit, first.seconds.evaluate, first.seconds.forward, first.seconds.pick) > 0
    assert last.seconds.select == 0, "evaluation is no part of selecting"
    assert first.peak_memory_mebibytes > 10
