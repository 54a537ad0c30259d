"""What every strategy owes the benchmark, as checks on three tiny rendered tasks; contributors write none of them."""

from __future__ import annotations

import random
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
from lossbench.running.loop import checked, selection_context
from lossbench.running.machine import memory_growth
from lossbench.running.model_cache import ModelCache, TrainingPlan
from lossbench.running.streams import stream
from strategies import Context, Selection, SelectionError, Strategy
from tasks.base import Ids, Task
from tasks.kinds import build_task, kind_named, known_kinds
from tasks.training.clock import Clock
from tasks.training.learner import Learner

LABELED = np.arange(12)
CANDIDATES = 30
MOST_SECONDS, MOST_MEBIBYTES = 60.0, 2048.0
"""For one selection of 6 among 30 tiny images, at the strategy's `smoke` sizes: far more than any here needs."""


class ConformanceError(AssertionError):
    """A strategy does not keep a part of the contract: one line that says which."""


def require(condition: object, fault: str) -> None:
    """Raise a ConformanceError unless the condition holds."""
    if not condition:
        raise ConformanceError(fault)


def tiny_protocol(kind: str, **recipe: object) -> Protocol:
    """A protocol of three rounds on a kind's tiny task, which trains in seconds; `recipe` replaces settings of its recipe."""
    tiny = dict(kind_named(kind).tiny)
    task = {"kind": kind} | tiny | {"recipe": tiny["recipe"] | recipe}
    budget = {"initial": 12, "step": 6, "rounds": 3, "subset": 30}
    return Protocol.model_validate({"name": f"tiny-{kind}", "version": 1, "budget": budget, "task": task})


@dataclass(frozen=True)
class Trial:
    """A strategy that is about to pick on a task: the same context as the loop's, any number of times."""

    task: Task
    strategy: Strategy
    committee: tuple[Learner, ...]
    budget: int = 6

    @property
    def candidates(self) -> Ids:
        """Half of what is not labeled, with gaps: a position among the candidates is not an id."""
        unlabeled = np.arange(len(LABELED), self.task.pool_size)
        return np.sort(np.random.default_rng(5).choice(unlabeled, CANDIDATES, replace=False))

    def context(self, seed: int = 0) -> Context:
        """The context under a seed."""
        rng = stream(seed, "select", 0)
        return selection_context(
            self.task, self.strategy, self.committee, self.budget, self.candidates, rng, labeled=LABELED
        )

    def select(self, seed: int = 0) -> Selection:
        """What the strategy returns."""
        return self.strategy.select(self.context(seed))

    def picks(self, seed: int = 0) -> list[int]:
        """The picked ids in their order."""
        return np.asarray(self.select(seed).ids).tolist()

    @property
    def modules(self) -> dict[str, nn.Module]:
        """All that was trained, by name."""
        found = {
            f"{name} {number}": getattr(learner, name)
            for number, learner in enumerate(self.committee)
            for name in ("model", "lossnet", "auxiliary")
        }
        return {name: module for name, module in found.items() if module is not None}


def picks_are_candidates_as_many_as_the_budget(trial: Trial) -> None:
    """Right count, distinct, none labeled, none foreign; a score for each or none at all."""
    selection = trial.select()
    checked(selection, trial.context(), trial.strategy.name)
    if selection.scores is not None:
        require(selection.scores.shape == (trial.budget,), "not a score for each pick")
        require(not torch.isnan(selection.scores).any(), "a score is not a number")


def picks_are_a_function_of_the_seed(trial: Trial) -> None:
    """The same picks again, whatever the global generators hold."""
    picks = []
    for number in range(3):
        random.seed(number)
        np.random.seed(number)  # noqa: NPY002 - a strategy that reads it is to be caught
        torch.manual_seed(number)
        picks.append(trial.picks())
    require(picks[0] == picks[1] == picks[2], "not a function of the context and its rng")


def picks_are_blind_to_labels(trial: Trial) -> None:
    """The same picks when all labels but those of the labeled images stand elsewhere."""
    before = trial.picks()
    with shuffled_labels(trial.task):
        after = trial.picks()
    require(trial.strategy.cheats or before == after, "the picks depend on labels of candidates")


def models_are_left_as_they_were(trial: Trial) -> None:
    """Weights and buffers bit for bit, evaluation mode, no gradients, the same parameters trainable."""
    before = {name: weights(module) for name, module in trial.modules.items()}
    trainable = {name: [each.requires_grad for each in module.parameters()] for name, module in trial.modules.items()}
    trial.select()
    for name, module in trial.modules.items():
        require(same_tensors(before[name], weights(module)), f"{name} has other weights")
        require(not any(each.training for each in module.modules()), f"{name} is left in training mode")
        require(all(each.grad is None for each in module.parameters()), f"{name} is left with gradients")
        require(trainable[name] == [each.requires_grad for each in module.parameters()], f"{name} is left frozen")


def learners_are_not_written_to(trial: Trial) -> None:
    """No attribute is set on a learner or its task, and the images are the same."""
    held = [each for learner in trial.committee for each in (learner, learner.task)]
    before = [dict(vars(each)) for each in held]
    images = trial.task.unlabeled.images(trial.candidates)
    trial.select()
    for each, values in zip(held, before, strict=True):
        now = vars(each)
        require(now.keys() == values.keys(), f"attributes of {type(each).__name__} came or went")
        require(all(now[name] is values[name] for name in values), f"an attribute of {type(each).__name__} was set")
    require(torch.equal(images, trial.task.unlabeled.images(trial.candidates)), "the images have changed")


def global_generators_are_left_alone(trial: Trial) -> None:
    """Neither torch's nor numpy's generator has moved; Python's may, for beartype draws from it."""

    def states() -> tuple[object, ...]:
        words = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
        return words["key"].tolist(), words["pos"], torch.get_rng_state().tolist()

    before = states()
    trial.select()
    require(states() == before, "a global generator was used and not put back")


def nothing_warns(trial: Trial) -> None:
    """No warning of any kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trial.select()


def one_selection_costs_little(trial: Trial) -> None:
    """At most a minute and 2 GiB, for a handful of tiny images."""
    started = time.perf_counter()
    with memory_growth(trial.task.unlabeled.device) as grown:
        trial.select()
    seconds = time.perf_counter() - started
    require(seconds <= MOST_SECONDS, f"one selection took {seconds:.0f} s; at most {MOST_SECONDS:.0f} s are allowed")
    require(
        max(grown, default=0.0) <= MOST_MEBIBYTES, f"one selection took {max(grown, default=0.0):.0f} MiB of memory"
    )


Check = Callable[[Trial], None]
CHECKS: tuple[Check, ...] = (
    picks_are_candidates_as_many_as_the_budget,
    picks_are_a_function_of_the_seed,
    picks_are_blind_to_labels,
    models_are_left_as_they_were,
    learners_are_not_written_to,
    global_generators_are_left_alone,
    nothing_warns,
    one_selection_costs_little,
)


class Verdict(NamedTuple):
    """Whether a strategy keeps one part of the contract on one kind of task."""

    check: str
    kind: str
    fault: str
    """What is wrong; empty where nothing is."""


def verdicts(strategy: Strategy, folder: Path) -> Iterator[Verdict]:
    """Every check on every kind of task, one after another. `folder` takes what is rendered and trained."""
    for kind in (each.name for each in known_kinds()):
        trial = _trial(strategy, kind, folder)
        for check in CHECKS:
            yield Verdict(check.__name__.replace("_", " "), kind, _fault(check, trial))


def _trial(strategy: Strategy, kind: str, folder: Path) -> Trial:
    protocol = tiny_protocol(kind)
    task = build_task(protocol.task, folder, folder, torch.device("cpu"))
    plan = TrainingPlan.of(strategy, protocol.loss_prediction, "shared")
    cache = ModelCache(folder / "models", task, 0, plan, Clock())
    committee = tuple(cache.learner((LABELED,), member)[0] for member in range(strategy.committee_size))
    return Trial(task, strategy, committee)


def _fault(check: Check, trial: Trial) -> str:
    try:
        check(trial)
    except (ConformanceError, SelectionError, Warning) as error:
        return " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - a stranger's code: whatever it raises is the verdict
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


@contextmanager
def shuffled_labels(task: Task) -> Iterator[None]:
    """The labels of all images but `LABELED` at other images; put back at the end."""
    others = np.arange(len(LABELED), len(task.annotations))
    before = task.annotations.copy()
    try:
        task.annotations[others] = before[np.random.default_rng(1).permutation(others)]
        yield
    finally:
        task.annotations[:] = before


def weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and buffers."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two sets of tensors are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
