"""The contract: every strategy on every kind of task; and broken strategies, which must be refused."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tiny_tasks import KINDS, with_recipe
from torch import Tensor

from lossbench.config import LossPrediction, read_protocol
from lossbench.running.loop import Run, evaluate
from lossbench.running.model_cache import ModelCache, TrainingPlan
from lossbench.submissions import conformance
from lossbench.submissions.conformance import CHECKS, LABELED, Check, Trial, same_tensors, tiny_protocol, weights
from strategies import STRATEGIES, Context, Selection, SelectionError, Strategy, StrategyError, load_strategy
from strategies.base import highest
from strategies.entropy import Entropy
from strategies.learning_loss import LearningLoss, LearningLossMSE
from strategies.random import Random
from strategies.true_loss import TrueLoss
from tasks.base import Ids, Task
from tasks.training.clock import Clock
from tasks.training.learner import Learner

MakeTask = Callable[[str], Task]
MakeLearner = Callable[..., Learner]


def name_of(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("strategy", STRATEGIES, ids=name_of)
def test_every_strategy_keeps_the_contract(
    strategy: type[Strategy], check: Check, kind: str, trials: Callable[[str, Strategy], Trial]
) -> None:
    check(trials(kind, strategy.smoke()))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=name_of)
def test_every_strategy_says_what_it_is(strategy: type[Strategy]) -> None:
    assert strategy.name == strategy.name.lower().replace(" ", "-").replace("_", "-")
    assert strategy.paper
    assert strategy.__doc__.splitlines()[0].endswith((".", ":", ")"))
    assert type(load_strategy(strategy.name)) is strategy
    assert strategy.reads
    assert strategy.cost
    assert strategy.cheats == (strategy.kind == "reference"), "a strategy that cheats is a reference, no entry"


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
    (NotANumber, conformance.selection_is_valid, AssertionError, "not a number"),
    (ChangesWeights, conformance.models_are_unchanged, AssertionError, "weights of model 0 have changed"),
    (ChangesLossNet, conformance.models_are_unchanged, AssertionError, "weights of lossnet 0 have changed"),
    (MovesStatistics, conformance.models_are_unchanged, AssertionError, "weights of model 0 have changed"),
    (LeavesTrainingMode, conformance.models_are_unchanged, AssertionError, "left in training mode"),
    (LeavesGradients, conformance.models_are_unchanged, AssertionError, "left with gradients"),
    (Freezes, conformance.models_are_unchanged, AssertionError, "requires_grad of model 0 has changed"),
    (WritesToTheLearner, conformance.learners_are_unchanged, AssertionError, "were added or deleted"),
    (UsesTheGlobalGenerator, conformance.picks_are_reproducible, AssertionError, "not a function of"),
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


def test_the_strategy_that_only_lacks_the_harm_passes(trials: Callable[[str, Strategy], Trial]) -> None:
    for check in CHECKS:
        check(trials("classification", Broken()))


def test_a_strategy_that_peeks_at_labels_is_refused(task: Task, kind: str, trained: MakeLearner) -> None:
    before = task.annotations.copy()
    trial = Trial(task, peeking(task), (trained(kind, Random()),))
    with pytest.raises(AssertionError, match="depend on labels"):
        conformance.picks_ignore_hidden_labels(trial)
    assert all(one is other or one == other for one, other in zip(before, task.annotations, strict=True))


MINE = '''
"""Picks what lies nearest to the middle of the candidates."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from strategies import Context, Selection, Strategy
from strategies.base import highest

Share = float


class Middle(Strategy):
    """Picks the images nearest to the mean embedding."""

    name: ClassVar[str] = "middle"
    paper: ClassVar[str] = "this file"
    share: Share = Field(0.5, ge=0)

    def select(self, ctx: Context) -> Selection:
        points = ctx.learner.embeddings(ctx.candidates)
        return highest(ctx, -(points - points.mean(0)).norm(dim=1))
'''


def test_a_strategy_from_a_file_elsewhere_keeps_the_contract(
    tmp_path: Path, kind: str, trials: Callable[[str, Strategy], Trial]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")
    strategy = load_strategy(str(file))
    assert (strategy.name, strategy.share) == ("middle", 0.5)
    for check in CHECKS:
        check(trials(kind, strategy))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"no strategy file .*mine\.py"),
        ("x = 1\n", r"mine\.py defines 0 strategies; it must define one subclass of strategies.Strategy"),
        (MINE + "class Edge(Middle):\n    pass\n", r"mine\.py defines 2 strategies"),
        (MINE.replace('name: ClassVar[str] = "middle"', ""), r"Middle has no name; add `name: ClassVar\[str\]"),
        (MINE.replace('"middle"', '"random"'), r"Middle is called 'random', which Lossbench already uses"),
        (
            MINE.replace('"middle"', '"../middle"'),
            r"'\.\./middle'; use at most 60 lower-case letters, digits and hyphens",
        ),
        (MINE.replace('"middle"', f'"{"m" * 61}"'), r"mmm'; use at most 60 lower-case letters"),
    ],
    ids=["missing", "none", "two", "nameless", "taken", "path", "long"],
)
def test_a_file_without_one_strategy_is_refused(content: str | None, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(StrategyError, match=reason) as caught:
        load_strategy(str(file))
    assert "\n" not in str(caught.value)


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


def test_nobody_else_is_given_the_oracle(task: Task, kind: str, tmp_path: Path) -> None:
    Onlooker.shown.clear()
    list(Run(task, tiny_protocol(kind), Onlooker(), 0, "shared", "test", tmp_path).rounds())
    assert [ctx.oracle for ctx in Onlooker.shown] == [None, None]
    assert [len(ctx.labeled) for ctx in Onlooker.shown] == [12, 18]
    for ctx in Onlooker.shown:
        assert ctx.labeled_groups().shape == (len(ctx.labeled), len(task.group_names))
        assert not hasattr(ctx.learner.task, "targets")
        assert not hasattr(ctx.learner.task, "annotations")


def parts(raw: Any) -> tuple[Tensor, ...]:
    return (raw,) if isinstance(raw, Tensor) else tuple(raw)


def rows(raw: Any, which: slice) -> Any:
    return raw[which] if isinstance(raw, Tensor) else type(raw)(*(part[which] for part in raw))


def equal(one: Any, other: Any) -> bool:
    return all(torch.equal(left, right) for left, right in zip(parts(one), parts(other), strict=True))


SOME = np.array([3, 40, 7, 66, 12, 59, 0])  # of the pool and of the test images, in no order


@pytest.fixture(scope="module")
def learner(kind: str, trained: MakeLearner) -> Learner:
    return trained(kind, Random())


def test_the_head_turns_features_into_the_raw_output(learner: Learner) -> None:
    for _, outputs in learner.batches(SOME):
        with torch.no_grad():
            assert equal(learner.model.head(*outputs.features), outputs.raw)
        assert all(len(each) == len(SOME) for each in (*outputs.taps, *outputs.features, *parts(outputs.raw)))


def test_an_image_has_its_loss_whatever_the_rest_of_its_batch(task: Task, learner: Learner) -> None:
    ((_, outputs),) = learner.batches(SOME)
    together = task.unlabeled.losses(outputs.raw, task.targets(SOME))
    assert together.shape == (len(SOME),)
    assert torch.isfinite(together).all()
    for place, image in enumerate(SOME):
        alone = task.targets(np.array([image]))
        given = task.unlabeled.losses(rows(outputs.raw, slice(place, place + 1)), alone)
        torch.testing.assert_close(given[0], together[place], rtol=1e-6, atol=0)
        ((_, again),) = learner.batches(np.array([image]))
        torch.testing.assert_close(task.unlabeled.losses(again.raw, alone)[0], together[place], rtol=1e-4, atol=1e-6)


def test_an_image_has_its_loss_beside_an_image_that_is_not_finite(task: Task, learner: Learner) -> None:
    ((_, outputs),) = learner.batches(SOME)
    together = task.unlabeled.losses(outputs.raw, task.targets(SOME))
    spoiled = copy.deepcopy(outputs.raw)
    for part in parts(spoiled):
        part[0] = 1e6
    beside = task.unlabeled.losses(spoiled, task.targets(SOME))
    torch.testing.assert_close(beside[1:], together[1:], rtol=1e-6, atol=0)
    assert beside[0] != together[0]


def test_posteriors_are_distributions_with_weights(task: Task, learner: Learner) -> None:
    (found,) = learner.posteriors(SOME)
    images, each, _ = found.log_probs.shape
    assert images == len(SOME)
    torch.testing.assert_close(found.log_probs.exp().sum(2), torch.ones(images, each), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.weight.sum(1), torch.ones(images), rtol=0, atol=1e-5)
    assert (found.weight >= 0).all()
    assert (found.context >= 0).all()
    features = tuple(part.requires_grad_() for part in next(learner.batches(SOME))[1].features)
    decoded = learner.decode(features)
    assert torch.equal(decoded.log_probs, found.log_probs)
    decoded.pooled(decoded.log_probs.exp().square().sum(2)).sum().backward()
    assert any(part.grad is not None and part.grad.abs().sum() > 0 for part in features)


def test_a_model_can_be_its_own_teacher(task: Task, learner: Learner) -> None:
    ((_, outputs),) = learner.batches(SOME)
    losses = task.unlabeled.losses(outputs.raw, task.unlabeled.pseudo_targets(outputs.raw))
    assert losses.shape == (len(SOME),)
    assert torch.isfinite(losses).all()
    assert learner.embeddings(SOME).shape[0] == len(SOME)


def test_images_are_the_same_whenever_they_are_read(task: Task) -> None:
    images = task.unlabeled.images(SOME)
    assert images.dtype == torch.float32
    assert images.shape == (len(SOME), 3, task.unlabeled.size, task.unlabeled.size)
    assert torch.equal(images, task.unlabeled.images(SOME))
    assert torch.equal(images[2:4], task.unlabeled.images(SOME[2:4]))


def test_augmentation_is_a_function_of_its_generator(task: Task) -> None:
    (images, targets), again, other = (task.augmented(SOME, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(images, again[0])
    assert equal(targets, again[1])
    assert images.shape == task.unlabeled.images(SOME).shape
    assert not torch.equal(images, other[0])
    assert not torch.equal(images, task.unlabeled.images(SOME))


def test_groups_have_names_and_metrics_the_ranking_one(task: Task, learner: Learner) -> None:
    groups = task.groups(SOME, LABELED)
    assert groups.shape == (len(SOME), len(task.group_names))
    assert groups.dtype == torch.bool
    assert task.groups(SOME[:0], LABELED).shape == (0, len(task.group_names))
    metrics = evaluate(task, learner, task.test_ids)
    assert 0 <= metrics[task.metric.name] <= 1
    assert 0 <= metrics["ranking_accuracy"] <= 1
    assert metrics["loss"] > 0


def fit(
    task: Task,
    kind: str,
    strategy: Strategy,
    track: str,
    folder: Path,
    rounds: tuple[Ids, ...] = (LABELED,),
    **recipe: Any,
) -> Learner:
    """A learner of a task under a changed recipe."""
    changed = copy.copy(task)
    changed.settings = with_recipe(task.settings, {"epochs": 2} | recipe)
    return ModelCache(folder, changed, 0, TrainingPlan.of(strategy, LossPrediction(), track), Clock()).learner(rounds)[
        0
    ]


def test_in_the_shared_track_the_model_feels_no_strategy(task: Task, kind: str, tmp_path: Path) -> None:
    """What is trained follows from the plan, and the plans of most strategies are equal: one of each is trained."""
    of_plan = {repr(TrainingPlan.of(each.smoke(), LossPrediction(), "shared")): each for each in STRATEGIES}
    learners = {each.name: fit(task, kind, each.smoke(), "shared", tmp_path / each.name) for each in of_plan.values()}
    assert sum(learner.auxiliary is None for learner in learners.values()) == 1
    assert learners["learning-loss-mse"].auxiliary is not None
    plain = next(learner for learner in learners.values() if learner.auxiliary is None)
    for name, learner in learners.items():
        assert same_tensors(weights(learner.model), weights(plain.model)), name
        assert same_tensors(weights(learner.lossnet), weights(plain.lossnet)), name


def test_in_the_native_track_the_model_feels_what_is_declared(task: Task, kind: str, tmp_path: Path) -> None:
    random, ours, ablation = (
        fit(task, kind, strategy, "native", tmp_path, loss_weight=1.0)
        for strategy in (Random(), LearningLoss(), LearningLossMSE())
    )
    assert (random.lossnet, random.auxiliary, ours.auxiliary, ablation.lossnet) == (None, None, None, None)
    models = [weights(each.model) for each in (random, ours, ablation)]
    assert not same_tensors(models[0], models[1])
    assert not same_tensors(models[0], models[2])
    assert not same_tensors(models[1], models[2])


def test_a_warm_start_begins_where_the_round_before_ended(task: Task, kind: str, tmp_path: Path) -> None:
    rounds = (LABELED, np.arange(18))
    cold, warm, again = (
        weights(fit(task, kind, Random(), "shared", tmp_path / str(number), rounds, warm_start=start).model)
        for number, start in enumerate((False, True, True))
    )
    assert not same_tensors(cold, warm)
    assert same_tensors(warm, again)
    elsewhere = (np.arange(1, 13), np.arange(18))
    other = fit(task, kind, Random(), "shared", tmp_path / "1", elsewhere, warm_start=True)
    assert not same_tensors(warm, weights(other.model)), "the round before decides the weights, and the key"


def test_half_precision_runs_and_answers_in_full(task: Task, kind: str, tmp_path: Path) -> None:
    changed = copy.copy(task)
    changed.settings = with_recipe(task.settings, {"precision": "bf16"})
    protocol = tiny_protocol(kind, precision="bf16")
    done = list(Run(changed, protocol, Entropy(), 0, "shared", "test", tmp_path).rounds())
    assert [one.labeled for one in done] == [12, 18, 24]
    half = fit(task, kind, Random(), "shared", tmp_path, precision="bf16", epochs=1)
    full = fit(task, kind, Random(), "shared", tmp_path, epochs=1)
    ((_, outputs),) = half.batches(SOME)
    assert {each.dtype for each in (*outputs.taps, *outputs.features, *parts(outputs.raw))} == {torch.float32}
    assert not same_tensors(weights(half.model), weights(full.model))
    assert {value.dtype for value in half.model.parameters()} == {torch.float32}


def test_the_kinds_of_task_are_those_that_the_contract_is_checked_on() -> None:
    configured = {read_protocol(path).task.kind for path in CONFIGS}
    assert configured == set(KINDS)


CONFIGS = sorted((Path(__file__).parents[3] / "configs/tasks").rglob("*.toml"))
