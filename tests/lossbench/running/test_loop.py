"""The loop: who may be picked, what is drawn from which stream, what is trained once, and where it stops."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tasks import with_recipe

import lossbench.running.model_cache
from leaderboard.schema.records import Round
from lossbench.config import ConfigError, LossPrediction, Protocol
from lossbench.running import machine
from lossbench.running.loop import Run, evaluate, true_losses
from lossbench.running.model_cache import ModelCache, TrainingPlan
from lossbench.running.pool import Pool
from lossbench.running.streams import stream
from lossbench.running.sweep import prepare
from lossbench.submissions.conformance import tiny_protocol
from lossnet import RankingObjective
from strategies import Context, Selection, Strategy, load_strategy
from strategies.bald import Bald
from strategies.committee import CommitteeVoteEntropy
from strategies.core_set import CoreSet
from strategies.entropy import Entropy
from strategies.learning_loss import LearningLoss, LearningLossMSE
from strategies.random import Random
from tasks.base import Task
from tasks.settings import Recipe, Stress
from tasks.training.clock import Clock
from tasks.training.loop import Attachment, Streams, TrainingError, fit
from tasks.training.seeding import seeded

TaskOf = Callable[[str], Task]


def timeless(rounds: list[Round]) -> list[dict[str, Any]]:
    """Rounds without what the clock and the operating system say."""
    return [each.model_dump(exclude={"seconds", "peak_memory_mebibytes"}) for each in rounds]


@pytest.fixture
def classification(tiny_task: TaskOf) -> Task:
    return tiny_task("classification")


@pytest.fixture
def run(classification: Task, tmp_path: Path) -> Callable[..., Run]:
    """A run of the tiny classification task; its weights lie in a folder of this test."""

    def of(
        strategy: Strategy | None = None, seed: int = 0, folder: str = "models", track: str = "shared", **changes: Any
    ) -> Run:
        protocol = changes.pop("protocol", tiny_protocol("classification"))
        task, split = changes.pop("task", classification), changes.pop("split", "test")
        return Run(task, protocol, strategy or Random(), seed, track, split, tmp_path / folder)

    return of


def of_size(pool_size: int) -> Any:
    """What `Pool` asks of a task."""
    return SimpleNamespace(pool_size=pool_size)


def with_budget(**budget: int | None) -> Protocol:
    """The tiny protocol under another budget."""
    protocol = tiny_protocol("classification")
    fields = protocol.budget.model_dump() | budget
    return Protocol.model_validate(protocol.model_dump() | {"budget": fields})


@pytest.mark.parametrize("seed", [0, 1, 100])
def test_no_image_of_the_validation_slice_is_ever_labeled(seed: int, run: Callable[..., Run]) -> None:
    made = run(seed=seed)
    pool = Pool.of(made.task, made.protocol)
    assert len(pool.validation) == 12
    assert np.array_equal(np.union1d(pool.eligible, pool.validation), np.arange(60))
    first = pool.initial(seed, 12)
    picked = [image for one in made.rounds() for image in one.picked]
    offered = np.concatenate([pool.candidates(seed, number, first, 30) for number in range(50)])
    for ids in (first, picked, offered):
        assert not np.isin(ids, pool.validation).any()
        assert len(ids)
    assert len(set(picked) | set(first.tolist())) == 12 + 2 * 6


def test_the_validation_slice_is_the_same_under_every_seed() -> None:
    slices = [Pool.of(of_size(60), tiny_protocol(kind)).validation for kind in ("classification", "pose")]
    assert np.array_equal(*slices)
    assert not np.array_equal(slices[0], np.arange(12)), "drawn, not cut off"


def test_the_initial_set_is_the_seeds_and_no_strategys(run: Callable[..., Run]) -> None:
    shown: dict[tuple[str, int], list[int]] = {}

    def keeping(fitted: Any, name: str, seed: int) -> Callable[..., Any]:
        def learner(self: ModelCache, rounds: tuple[np.ndarray, ...], member: int = 0) -> Any:
            shown.setdefault((name, seed), rounds[0].tolist())
            return fitted(self, rounds, member)

        return learner

    original = ModelCache.learner
    different_needs = (Random, LearningLossMSE, Bald, CommitteeVoteEntropy)
    for strategy in different_needs:
        for seed in (0, 1):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ModelCache, "learner", keeping(original, strategy.name, seed))
                next(run(strategy(), seed).rounds())
    assert len(shown) == 2 * len(different_needs)
    assert len({tuple(ids) for (_, seed), ids in shown.items() if seed == 0}) == 1
    assert len({tuple(ids) for (_, seed), ids in shown.items() if seed == 1}) == 1
    assert shown["random", 0] != shown["random", 1]


def by_priority(pool: Pool, seed: int, number: int, labeled: np.ndarray) -> list[int]:
    """What is not labeled in its order of priority, read off one subset size after the other."""
    sizes = range(len(np.setdiff1d(pool.eligible, labeled)) + 1)
    offered = [set(pool.candidates(seed, number, labeled, size).tolist()) for size in sizes]
    assert [len(each) for each in offered] == list(sizes)
    assert all(smaller < larger for smaller, larger in pairwise(offered))
    return [(larger - smaller).pop() for smaller, larger in pairwise(offered)]


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 9))
def test_strategies_that_labeled_differently_share_one_order_of_priority(seed: int, number: int) -> None:
    pool = Pool.of(of_size(60), tiny_protocol("classification"))
    start = pool.initial(seed, 12)
    rest = np.setdiff1d(pool.eligible, start)
    one, other = (np.append(start, rest[several]) for several in (slice(0, 6), slice(12, 18)))
    orders = [by_priority(pool, seed, number, labeled) for labeled in (one, other)]
    assert [sorted(order) for order in orders] == [np.setdiff1d(pool.eligible, each).tolist() for each in (one, other)]
    both = set(orders[0]) & set(orders[1])
    assert len(both) == 24
    assert [image for image in orders[0] if image in both] == [image for image in orders[1] if image in both]
    offered = pool.candidates(seed, number, one, 10).tolist()
    assert offered == sorted(orders[0][:10])


def test_every_round_and_seed_draws_its_own_candidates() -> None:
    pool = Pool.of(of_size(60), tiny_protocol("classification"))
    first = pool.initial(0, 12)
    drawn = {pool.candidates(seed, number, first, 15).tobytes() for seed in range(3) for number in range(3)}
    assert len(drawn) == 9
    assert np.array_equal(pool.candidates(0, 0, first, None), np.setdiff1d(pool.eligible, first))
    assert np.array_equal(pool.candidates(0, 0, first, 10**6), np.setdiff1d(pool.eligible, first))


def test_a_budget_larger_than_the_pool_is_refused(run: Callable[..., Run], tmp_path: Path) -> None:
    fitting = with_budget(initial=36, subset=None)
    assert [one.labeled for one in run(protocol=fitting).rounds()] == [36, 42, 48]
    with pytest.raises(ConfigError) as caught:
        next(run(protocol=with_budget(initial=37, subset=None), folder="none").rounds())
    assert str(caught.value) == (
        "tiny-classification: a budget of 49 labels is larger than the pool of 60 images less 12 for validation; "
        "lower budget.initial, step or rounds"
    )
    assert not (tmp_path / "none").exists()


def test_each_purpose_has_its_own_stream() -> None:
    purposes = [(0, "select", 1), (0, "select", 11), (0, "select", "1"), (0, "select"), (0, "subset", 1)]
    purposes += [(1, "select", 1), (-1, "select", 1), (0, "weights", 1, 12), (0, "weights", 11, 2)]
    draws = [stream(*purpose).random(4).tolist() for purpose in purposes]
    assert len({tuple(each) for each in draws}) == len(purposes)
    assert draws == [stream(*purpose).random(4).tolist() for purpose in purposes]


def test_torchs_generator_is_seeded_inside_a_block_only() -> None:
    before = torch.get_rng_state()
    with seeded(stream(0, "weights")):
        one = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(stream(0, "weights")):
        assert torch.equal(torch.rand(3), one)
    with pytest.raises(ZeroDivisionError), seeded(stream(0, "weights")):
        _ = torch.rand(3) / (1 // 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("strategy", [Random, LearningLossMSE, CoreSet], ids=lambda each: each.name)
@pytest.mark.parametrize("track", ["shared", "native"])
def test_a_run_goes_on_from_its_record_as_if_never_stopped(
    strategy: type[Strategy], track: str, run: Callable[..., Run]
) -> None:
    whole = list(run(strategy(), track=track, folder="whole").rounds())
    for done in (1, 2):
        rest = list(run(strategy(), track=track, folder=f"rest-{done}").rounds(whole[:done]))
        assert timeless(rest) == timeless(whole[done:])
    assert list(run(strategy(), track=track).rounds(whole)) == []


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


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many images each training had, as they happen."""
    counted: list[int] = []

    def counting(task: Task, model: Any, labeled: np.ndarray, *rest: Any) -> None:
        counted.append(len(labeled))
        fit(task, model, labeled, *rest)

    monkeypatch.setattr(lossbench.running.model_cache, "fit", counting)
    return counted


def test_round_0_is_trained_once_for_all_that_train_alike(run: Callable[..., Run], trainings: list[int]) -> None:
    alike = [next(run(each()).rounds()) for each in (Random, Entropy, CoreSet, LearningLoss)]
    assert trainings == [12]
    assert len({str(each.metrics) for each in alike}) == 1
    assert len({each.seconds.fit for each in alike}) == 1, "who loads a model is charged for its training"
    assert alike[0].seconds.fit > 0
    next(run(LearningLossMSE()).rounds())
    assert trainings == [12, 12]
    next(run(Random(), seed=1).rounds())
    assert trainings == [12, 12, 12]
    list(run(Random()).rounds())
    assert trainings == [12, 12, 12, 18, 24]


def test_a_fits_key_changes_with_all_that_decides_the_weights(classification: Task, tmp_path: Path) -> None:
    def key(
        seed: int = 0,
        strategy: Strategy | None = None,
        track: str = "shared",
        member: int = 0,
        ids: tuple[int, int] = (3, 1),
        predicted: dict[str, Any] | None = None,
        noise: float = 0.0,
        **recipe: Any,
    ) -> str:
        task = copy.copy(classification)
        task.settings, task.stress = with_recipe(task.settings, recipe), Stress(label_noise=noise)
        needs = TrainingPlan.of(strategy or Random(), LossPrediction.model_validate(predicted or {}), track)
        return ModelCache(tmp_path, task, seed, needs, Clock()).key((np.array(ids),), member)

    mse = LearningLossMSE()
    changed = [
        key(seed=1), key(strategy=mse), key(track="native"), key(track="native", strategy=mse), key(member=1),
        key(ids=(3, 2)), key(epochs=2), key(precision="bf16"), key(predicted={"weight": 0.5}), key(warm_start=True),
        key(track="native", strategy=mse, predicted={"detach_after": 0.5}), key(predicted={"taps": (0,)}), key(noise=0.1),
    ]  # fmt: skip
    assert len({key(), *changed}) == 1 + len(changed)
    assert key() == key(ids=(1, 3)) == key(strategy=LearningLoss())
    assert key(track="native", strategy=LearningLoss()) != key(track="native")


OUTSIDE = """
from lossnet import RegressionObjective
from strategies import Selection, Strategy

class Mine(Strategy):
    name = "mine"
    paper = kind = reads = cost = ""
    def auxiliary(self, objective): return Other()
    def select(self, ctx): return Selection(ctx.candidates[: ctx.budget])

class Other(RegressionObjective):
    def compare(self, predicted, losses): return (predicted - losses).abs().mean() * FACTOR
"""


def test_other_code_of_an_outside_strategy_is_another_fit(classification: Task, tmp_path: Path) -> None:
    keys = set()
    for folder, factor in (("a", 1), ("b", 2), ("c", 1)):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "mine.py"
        file.write_text(OUTSIDE.replace("FACTOR", str(factor)))
        needs = TrainingPlan.of(load_strategy(str(file)), LossPrediction(), "native")
        fits = ModelCache(tmp_path, classification, 0, needs, Clock())
        keys.add(fits.key((np.arange(2),), 0))
    assert len(keys) == 2, "the code counts, and where it lies does not"


def test_the_order_of_labeling_decides_nothing(classification: Task, tmp_path: Path) -> None:
    ids = np.random.default_rng(0).permutation(12)
    fitted = []
    for folder, labeled in (("sorted", np.arange(12)), ("shuffled", ids)):
        needs = TrainingPlan.of(Random(), LossPrediction(), "shared")
        learner, _ = ModelCache(tmp_path / folder, classification, 0, needs, Clock()).learner((labeled,))
        fitted.append(learner.model.state_dict())
    assert all(torch.equal(fitted[0][name], fitted[1][name]) for name in fitted[0])


def test_weights_that_are_deleted_are_trained_again(
    run: Callable[..., Run], trainings: list[int], tmp_path: Path
) -> None:
    whole = list(run().rounds())
    for file in (tmp_path / "models").iterdir():
        file.unlink()
    assert timeless(list(run().rounds())) == timeless(whole)
    assert trainings == [12, 18, 24] * 2
    assert not list((tmp_path / "models").glob("*.part"))


@pytest.mark.parametrize("kind", ["classification", "detection"])
def test_metrics_that_were_kept_are_those_of_a_fresh_evaluation(
    kind: str, tiny_task: TaskOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluations = []

    def counted(*words: Any) -> dict[str, float]:
        evaluations.append(evaluate(*words))
        return evaluations[-1]

    monkeypatch.setattr("lossbench.running.loop.evaluate", counted)
    task, protocol = tiny_task(kind), tiny_protocol(kind)

    def first_round(strategy: Strategy, split: str = "test") -> Round:
        return next(Run(task, protocol, strategy, 0, "shared", split, tmp_path).rounds())

    measured, kept = first_round(Random()), first_round(LearningLoss())
    assert kept.metrics == measured.metrics == evaluations[0]
    assert kept.seconds.evaluate == measured.seconds.evaluate > 0
    assert len(evaluations) == 1, "strategies that train the same share the first round's metrics"
    assert first_round(LearningLossMSE()).metrics.keys() > kept.metrics.keys()
    assert first_round(Random(), "validation").metrics == evaluations[2] != kept.metrics
    monkeypatch.setattr(lossbench.running.model_cache, "METRICS_VERSION", 2)
    assert first_round(Random()).metrics == kept.metrics
    assert len(evaluations) == 4, "metrics of another version are measured again"


def test_a_recipe_that_diverges_stops_the_run(classification: Task, run: Callable[..., Run], tmp_path: Path) -> None:
    update = {"optimizer": "sgd", "learning_rate": 1e30, "epochs": 4}
    task = copy.copy(classification)
    task.settings = with_recipe(task.settings, update)
    protocol = tiny_protocol("classification", **update)
    with pytest.raises(TrainingError) as caught:
        next(run(Random(), seed=7, task=task, protocol=protocol).rounds())
    assert str(caught.value) == (
        "tiny-classification, random, seed 7, round 0: the training loss is not finite at step 1 of 4"
    )
    assert not list((tmp_path / "models").glob("*.safetensors")), "weights that are not finite are not kept"


def test_a_loss_that_is_not_finite_stops_a_later_round(classification: Task, run: Callable[..., Run]) -> None:
    task = copy.copy(classification)
    first = Pool.of(task, tiny_protocol("classification")).initial(0, 12)

    def augmented(ids: np.ndarray, rng: np.random.Generator) -> Any:
        images, targets = classification.augmented(ids, rng)
        images[torch.from_numpy(~np.isin(ids, first))] = torch.nan
        return images, targets

    task.augmented = augmented
    rounds = run(Entropy(), task=task).rounds()
    assert next(rounds).labeled == 12
    message = r"^tiny-classification, entropy, seed 0, round 1: the training loss is not finite at step [01] of 2$"
    with pytest.raises(TrainingError, match=message):
        next(rounds)


def test_weights_that_the_last_step_spoiled_stop_the_run(kind: str, task: Task, tmp_path: Path) -> None:
    update = {"optimizer": "sgd", "learning_rate": 1e37}  # one step: its loss is finite, what it leaves is not
    changed = copy.copy(task)
    changed.settings = with_recipe(task.settings, update)
    protocol = tiny_protocol(kind, **update)
    rounds = Run(changed, protocol, Random(), 3, "shared", "test", tmp_path).rounds()
    with pytest.raises(TrainingError, match=rf"^tiny-{kind}, random, seed 3, round 0: .*not finite"):
        next(rounds)


def small_recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({"epochs": 3, "batch": 5, "optimizer": "adamw", "learning_rate": 1e-3} | changes)


def streams() -> Streams:
    return Streams(np.random.default_rng(0), np.random.default_rng(1))


def test_training_names_the_first_step_that_is_not_finite(classification: Task) -> None:
    task, calls = copy.copy(classification), []

    def augmented(ids: np.ndarray, rng: np.random.Generator) -> Any:
        calls.append(len(ids))
        images, targets = classification.augmented(ids, rng)
        return images * (torch.nan if len(calls) == 5 else 1), targets

    task.augmented, task.settings = augmented, task.settings.model_copy(update={"recipe": small_recipe()})
    with pytest.raises(TrainingError, match=r"^the training loss is not finite at step 4 of 9$"):
        fit(task, task.build_model(), np.arange(11), [], streams())
    assert calls == [4, 4, 3, 4, 4, 3], "batches of nearly equal size; it stops with the epoch"


def test_taps_that_are_not_finite_stop_the_training(classification: Task) -> None:
    task = copy.copy(classification)
    task.settings = task.settings.model_copy(update={"recipe": small_recipe()})
    model = task.build_model()
    trunk = model.trunk

    def spoiled(images: torch.Tensor) -> Any:
        taps, features = trunk(images)
        return (*taps[:-1], taps[-1] * torch.inf), features

    objective = RankingObjective()
    module = objective.build(trunk(task.unlabeled.images(np.arange(2)))[0])
    model.trunk = spoiled
    fit(task, model, np.arange(11), [], streams())
    with pytest.raises(TrainingError, match="not finite at step 0 of 9"):
        fit(task, model, np.arange(11), [Attachment(objective, module, detached=True)], streams())


def test_a_batch_of_one_and_an_odd_batch_are_trained_on(kind: str, task: Task, tmp_path: Path) -> None:
    for count in (2, 3, 17):
        changed = copy.copy(task)
        changed.settings = with_recipe(task.settings, {"batch": 2})
        needs = TrainingPlan.of(LearningLossMSE(), LossPrediction(), "shared")
        fits = ModelCache(tmp_path, changed, 0, needs, Clock())
        learner, _ = fits.learner((np.arange(count),))
        assert torch.isfinite(true_losses(task, learner, np.arange(count))).all()


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


def test_groups_of_picks_mean_the_same_under_every_seed(tiny_task: TaskOf, tmp_path: Path) -> None:
    """Pose clusters are fitted: on the whole pool, not on the labels that a seed begins with."""
    pose, protocol = tiny_task("pose"), tiny_protocol("pose")
    for seed in (0, 1):
        run = Run(pose, protocol, Random(), seed, "shared", "test", tmp_path)
        first = next(run.rounds())
        assert list(first.group_counts) == pose.groups(np.array(first.picked), run.pool.eligible).sum(0).tolist()


def test_groups_of_picks_are_those_that_imbalance_made_rare(tiny_task: TaskOf, tmp_path: Path) -> None:
    pose, clean = tiny_task("pose"), tiny_protocol("pose")
    rare = clean.model_copy(update={"stress": Stress(imbalance=3.0)})
    run = Run(pose, rare, Random(), 0, "shared", "test", tmp_path)
    first, whole = next(run.rounds()), Pool.of(pose, clean).eligible
    assert len(run.pool.eligible) < len(whole)
    assert list(first.group_counts) == pose.groups(np.array(first.picked), whole).sum(0).tolist()


@pytest.mark.skipif(not machine.HIGH_WATER_RESET.exists(), reason="only Linux resets its high-water mark")
def test_the_peak_of_memory_is_measured_anew() -> None:
    device = torch.device("cpu")
    bytearray(200 << 20)
    before = machine.peak_memory_mebibytes(device)
    machine.reset_peak_memory(device)
    assert machine.peak_memory_mebibytes(device) < before - 100


def test_a_process_computes_on_one_thread() -> None:
    torch.set_num_threads(2)
    prepare()
    assert torch.get_num_threads() == 1


def test_seconds_are_those_of_the_phases(run: Callable[..., Run]) -> None:
    first, *_, last = list(run(CoreSet()).rounds())
    assert min(first.seconds.fit, first.seconds.evaluate, first.seconds.forward, first.seconds.pick) > 0
    assert last.seconds.select == 0, "evaluation is no part of selecting"
    assert first.peak_memory_mebibytes > 10


def test_the_commit_is_that_of_the_process_start(monkeypatch: pytest.MonkeyPatch) -> None:
    first = machine.commit()
    monkeypatch.setattr(machine.subprocess, "run", None)
    assert machine.commit() == first
