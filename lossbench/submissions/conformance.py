"""Checks of the strategy contract on the tiny task of every kind. They apply to each strategy; contributors write none."""

from __future__ import annotations

import random
import secrets
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lossbench.config import Protocol
from lossbench.errors import LossbenchError
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.running.machine import memory_growth
from lossbench.running.selecting import Choice, Trials, checked, selection_context
from lossbench.running.streams import stream
from strategies import Context, Selection, Strategy
from tasks.base import Ids, Task
from tasks.kinds import KINDS, build_task, kind_named, known_kinds
from tasks.outside.errors import blaming_outside
from tasks.training.clock import Clock
from tasks.training.learner import Learner

LABELED = np.arange(12)
LAST = np.arange(12, 60)
"""Of these, what is no candidate is held out for an oracle."""
CANDIDATE_COUNT = 30
MAX_SECONDS, MAX_MEBIBYTES = 30.0, 2048.0
"""Limits of one selection of 6 among 30 tiny images, at the strategy's `smoke` sizes: far more than any strategy here needs."""
CHECK_SECONDS = 120
"""Limit of one check, which selects at most three times; the slowest strategy here needs 3 s."""


class ConformanceError(AssertionError):
    """A strategy breaks the contract; the message is one line that says how."""


def require(condition: object, fault: str) -> None:
    """Raise a ConformanceError with this message unless the condition holds."""
    if not condition:
        raise ConformanceError(fault)


def tiny_protocol(kind: str, **recipe: object) -> Protocol:
    """A protocol of three rounds on a kind's tiny task, which trains in seconds.

    Args:
        kind: name of the kind of task.
        **recipe: settings that replace those of the tiny task's recipe.
    """
    tiny = dict(kind_named(kind).tiny)
    task = {"kind": kind} | tiny | {"recipe": tiny["recipe"] | recipe}
    budget = {"initial": 12, "step": 6, "rounds": 3, "subset": 30}
    return Protocol.model_validate({"name": f"tiny-{kind}", "version": 1, "budget": budget, "task": task})


@dataclass(frozen=True)
class Trial:
    """A strategy with a task and a trained committee; it can select any number of times in the same situation.

    Args:
        task: with its labels.
        strategy: the strategy to check.
        committee: trained on the images `LABELED`.
        budget: how many images each selection picks.
    """

    task: Task
    strategy: Strategy
    committee: tuple[Learner, ...]
    budget: int = 6

    @property
    def candidates(self) -> Ids:
        """A random part of the unlabeled images, so that a position among the candidates differs from an id."""
        unlabeled = np.arange(len(LABELED), self.task.pool_size)
        return np.sort(np.random.default_rng(5).choice(unlabeled, CANDIDATE_COUNT, replace=False))

    def context(self, seed: int = 0) -> Context:
        """The context that the loop would hand to the strategy under this seed."""
        rng = stream(seed, "select", 0)
        trials = Trials(TrainingPlan(None, None, auxiliary_detached=False), seed, np.setdiff1d(LAST, self.candidates))
        choice = Choice(LABELED, self.candidates, self.budget)
        return selection_context(self.task, self.strategy, self.committee, choice, rng, trials)

    def select(self, seed: int = 0) -> Selection:
        """The strategy's selection under this seed."""
        return self.strategy.select(self.context(seed))

    def picks(self, seed: int = 0) -> list[int]:
        """The picked ids under this seed, in the strategy's order."""
        return np.asarray(self.select(seed).ids).tolist()

    @property
    def modules(self) -> dict[str, nn.Module]:
        """All trained modules of the committee, by name."""
        modules = {
            f"{name} {number}": getattr(learner, name)
            for number, learner in enumerate(self.committee)
            for name in ("model", "lossnet", "auxiliary")
        }
        return {name: module for name, module in modules.items() if module is not None}


def selection_is_valid(trial: Trial) -> None:
    """As many distinct candidates as the budget, and either one score per pick or no scores."""
    checked(trial.select(), trial.context(), trial.strategy.name)


def picks_are_reproducible(trial: Trial) -> None:
    """The same picks from equal contexts, for any state of the global random generators."""
    picks = []
    for _ in range(3):
        with fresh_global_generators():
            picks.append(trial.picks())
    require(picks[0] == picks[1] == picks[2], "the picks are not a function of the context and its rng")


def picks_ignore_hidden_labels(trial: Trial) -> None:
    """The same picks after the labels of all unlabeled images were exchanged among them."""
    before = trial.picks()
    with shuffled_labels(trial.task):
        after = trial.picks()
    require(trial.strategy.cheats or before == after, "the picks depend on labels of candidates")


def models_are_unchanged(trial: Trial) -> None:
    """Weights and buffers are equal bit for bit, in evaluation mode, without gradients, `requires_grad` as before."""
    before = {name: weights(module) for name, module in trial.modules.items()}
    trainable = {name: _requires_grad(module) for name, module in trial.modules.items()}
    trial.select()
    for name, module in trial.modules.items():
        require(same_tensors(before[name], weights(module)), f"the weights of {name} have changed")
        require(not any(part.training for part in module.modules()), f"{name} was left in training mode")
        require(all(value.grad is None for value in module.parameters()), f"{name} was left with gradients")
        require(trainable[name] == _requires_grad(module), f"requires_grad of {name} has changed")


def _requires_grad(module: nn.Module) -> list[bool]:
    return [value.requires_grad for value in module.parameters()]


def learners_are_unchanged(trial: Trial) -> None:
    """No attribute of a learner or its task was set, added or deleted, and the images are the same."""
    objects = [item for learner in trial.committee for item in (learner, learner.task)]
    before = [dict(vars(item)) for item in objects]
    images = trial.task.unlabeled.images(trial.candidates)
    trial.select()
    for item, old in zip(objects, before, strict=True):
        new, name = vars(item), type(item).__name__
        require(new.keys() == old.keys(), f"attributes of {name} were added or deleted")
        require(all(new[key] is old[key] for key in old), f"an attribute of {name} was set")
    require(torch.equal(images, trial.task.unlabeled.images(trial.candidates)), "the images have changed")


def global_generators_are_unchanged(trial: Trial) -> None:
    """The states of torch's and NumPy's global generators are as before; Python's is not checked, as beartype uses it."""

    def states() -> tuple[object, ...]:
        state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
        return state["key"].tolist(), state["pos"], torch.get_rng_state().tolist()

    with fresh_global_generators():  # else a strategy that seeds them would find the state that it left before
        before = states()
        trial.select()
        require(states() == before, "the state of a global generator has changed; draw from ctx.rng")


def no_warning_is_raised(trial: Trial) -> None:
    """No warning of any category."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trial.select()


def selection_is_within_limits(trial: Trial) -> None:
    """At most `MAX_SECONDS` and `MAX_MEBIBYTES` for one selection."""
    started = time.perf_counter()
    with memory_growth(trial.task.unlabeled.device) as growth:
        trial.select()
    seconds, mebibytes = time.perf_counter() - started, max(growth, default=0.0)
    require(seconds <= MAX_SECONDS, f"one selection took {seconds:.0f} s; the limit is {MAX_SECONDS:.0f} s")
    require(mebibytes <= MAX_MEBIBYTES, f"one selection took {mebibytes:.0f} MiB; the limit is {MAX_MEBIBYTES:.0f} MiB")


Check = Callable[[Trial], None]
"""Raises an error where a trial's strategy breaks the contract."""
CHECKS: tuple[Check, ...] = (
    selection_is_valid,
    picks_are_reproducible,
    picks_ignore_hidden_labels,
    models_are_unchanged,
    learners_are_unchanged,
    global_generators_are_unchanged,
    no_warning_is_raised,
    selection_is_within_limits,
)


class Verdict(NamedTuple):
    """The outcome of one check on one kind of task."""

    check: str
    kind: str
    fault: str
    """What is wrong; empty if the check passed."""


def check_names() -> set[tuple[str, str]]:
    """Every check with each kind of task that Lossbench has, as in `Verdict`."""
    return {(_name(check), kind.name) for check in CHECKS for kind in KINDS}


def _name(check: Check) -> str:
    return check.__name__.replace("_", " ")


def run_checks(strategy: Strategy, folder: Path) -> Iterator[Verdict]:
    """Run every check on every known kind of task, one after another.

    Args:
        strategy: the strategy to check.
        folder: for rendered scenes and trained models.
    """
    for kind in known_kinds():
        trial = _prepare_trial(strategy, kind.name, folder)
        for check in CHECKS:
            yield Verdict(_name(check), kind.name, _run_check(check, trial))


def _prepare_trial(strategy: Strategy, kind: str, folder: Path) -> Trial:
    protocol = tiny_protocol(kind)
    task = build_task(protocol.task, folder, folder, torch.device("cpu"))
    plan = TrainingPlan.of(strategy, protocol.loss_prediction, "shared")
    cache = ModelCache(folder / "models", task, 0, plan, Clock())
    committee = tuple(cache.learner((LABELED,), member)[0] for member in range(strategy.committee_size))
    return Trial(task, strategy, committee)


def _run_check(check: Check, trial: Trial) -> str:
    """The fault that a check reports; empty if it passes."""
    try:
        with fresh_global_generators(), blaming_outside():
            check(trial)
    except (ConformanceError, LossbenchError, Warning) as error:
        return " ".join(str(error).split())
    except BaseException as error:  # noqa: BLE001 - the strategy is foreign code: any error that it raises is its fault
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


@contextmanager
def fresh_global_generators() -> Iterator[None]:
    """Give the global generators of torch, NumPy and Python a state that nobody can foresee; restore them afterwards."""
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 - see the first line
    torch.manual_seed(secrets.randbits(63))
    np.random.seed(secrets.randbits(32))  # noqa: NPY002
    random.seed(secrets.randbits(63))
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        random.setstate(before[2])


@contextmanager
def shuffled_labels(task: Task) -> Iterator[None]:
    """Exchange the labels of all images outside `LABELED` among each other inside the block."""
    others = np.arange(len(LABELED), len(task.annotations))
    before = task.annotations.copy()
    try:
        task.annotations[others] = before[np.random.default_rng(1).permutation(others)]
        yield
    finally:
        task.annotations[:] = before


def weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's weights and buffers."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two sets of tensors have the same names and are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
