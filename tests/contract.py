"""What every strategy owes the benchmark, as checks: each raises an AssertionError, a SelectionError or a warning."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lossbench.loop import checked, true_losses
from lossbench.streams import stream
from strategies import Context, Selection, Strategy
from tasks.base import Ids, Task
from tasks.learner import Learner

LABELED = np.arange(12)
CANDIDATES = 30


@dataclass(frozen=True)
class Trial:
    """A strategy that is about to pick on a task: the same context as the loop's, as often as it is asked for."""

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
        task, learner = self.task, self.committee[0]
        return Context(
            budget=self.budget,
            labeled=LABELED,
            candidates=self.candidates,
            committee=self.committee,
            rng=stream(seed, "select", 0),
            labeled_groups=lambda: task.groups(LABELED, LABELED),
            labeled_losses=lambda: true_losses(task, learner, LABELED),
            oracle=(lambda ids: true_losses(task, learner, ids)) if self.strategy.cheats else None,
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
        assert selection.scores.shape == (trial.budget,), "not a score for each pick"
        assert not torch.isnan(selection.scores).any(), "a score is not a number"


def picks_are_a_function_of_the_seed(trial: Trial) -> None:
    """The same picks again, whatever the global generators hold."""
    picks = []
    for number in range(3):
        random.seed(number)
        np.random.seed(number)  # noqa: NPY002 - a strategy that reads it is to be caught
        torch.manual_seed(number)
        picks.append(trial.picks())
    assert picks[0] == picks[1] == picks[2], "not a function of the context and its rng"


def picks_are_blind_to_labels(trial: Trial) -> None:
    """The same picks when all labels but those of the labeled images stand elsewhere."""
    before = trial.picks()
    with shuffled_labels(trial.task):
        after = trial.picks()
    assert trial.strategy.cheats or before == after, "the picks depend on labels of candidates"


def models_are_left_as_they_were(trial: Trial) -> None:
    """Weights and buffers bit for bit, evaluation mode, no gradients, the same parameters trainable."""
    before = {name: weights(module) for name, module in trial.modules.items()}
    trainable = {name: [each.requires_grad for each in module.parameters()] for name, module in trial.modules.items()}
    trial.select()
    for name, module in trial.modules.items():
        assert same_tensors(before[name], weights(module)), f"{name} has other weights"
        assert not any(each.training for each in module.modules()), f"{name} is left in training mode"
        assert all(each.grad is None for each in module.parameters()), f"{name} is left with gradients"
        assert trainable[name] == [each.requires_grad for each in module.parameters()], f"{name} is left frozen"


def learners_are_not_written_to(trial: Trial) -> None:
    """No attribute is set on a learner or its reader, and the images are the same."""
    held = [each for learner in trial.committee for each in (learner, learner.reader)]
    before = [dict(vars(each)) for each in held]
    images = trial.task.reader.images(trial.candidates)
    trial.select()
    for each, values in zip(held, before, strict=True):
        now = vars(each)
        assert now.keys() == values.keys(), f"attributes of {type(each).__name__} came or went"
        assert all(now[name] is values[name] for name in values), f"an attribute of {type(each).__name__} was set"
    assert torch.equal(images, trial.task.reader.images(trial.candidates)), "the images have changed"


def global_generators_are_left_alone(trial: Trial) -> None:
    """Neither torch's nor numpy's generator has moved. (Python's has: beartype draws from it.)"""

    def states() -> tuple[object, ...]:
        _, words, place, *_ = np.random.get_state()  # noqa: NPY002
        return words.tolist(), place, torch.get_rng_state().tolist()

    before = states()
    trial.select()
    assert states() == before, "a global generator was used and not put back"


def nothing_warns(trial: Trial) -> None:
    """No warning of any kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trial.select()


Check = Callable[[Trial], None]
CHECKS: tuple[Check, ...] = (
    picks_are_candidates_as_many_as_the_budget,
    picks_are_a_function_of_the_seed,
    picks_are_blind_to_labels,
    models_are_left_as_they_were,
    learners_are_not_written_to,
    global_generators_are_left_alone,
    nothing_warns,
)


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
