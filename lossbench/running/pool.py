"""The images that may be labeled, those that are labeled first, and the label noise of a protocol."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lossbench.config import ConfigError, Protocol
from lossbench.running.streams import stream
from tasks.settings import Stress

if TYPE_CHECKING:  # torch takes a second to import, and checking records does not need it
    from tasks.base import Ids, Task


@dataclass(frozen=True)
class Pool:
    """The images of a protocol that may be labeled, and its validation slice. Both are the same for all seeds."""

    size: int
    """Number of images in the task's pool."""
    eligible: Ids
    """Images that may be labeled: the task's pool without the validation slice and without those that imbalance removes."""
    validation: Ids
    """Images of the pool that are held out for choices; they are never labeled."""
    group_reference: Ids
    """Images from which `Task.groups` learns groups: the eligible ones and those that imbalance removes."""
    groups: np.ndarray
    """(e, g) bool: which groups each eligible image shows; g is 0 if the protocol's stress does not use groups."""
    missing_groups: int
    """How many groups the first labeled images must not show."""

    @classmethod
    def of(cls, task: Task[Any, Any], protocol: Protocol) -> Pool:
        """The pool of a protocol.

        Raises:
            ConfigError: the budget exceeds the eligible images, or all groups would be missing from the first round.
        """
        stress = protocol.stress
        eligible, validation = divided(task.pool_size, protocol.task.data.validation)
        reference, groups = eligible, np.zeros((len(eligible), 0), dtype=bool)
        if needs_groups(stress):
            groups = task.groups(eligible, eligible).numpy()
            kept = _imbalanced(groups, stress.imbalance, stream(0, "imbalance"))
            eligible, groups = eligible[kept], groups[kept]
            count = groups.shape[1]
            if stress.missing_groups >= count:
                msg = (
                    f"{protocol.name}: {stress.missing_groups} of {count} groups would be missing from the first round; "
                    f"set stress.missing_groups to at most {count - 1}"
                )
                raise ConfigError(msg)
        _check_budget(protocol, task.pool_size, len(eligible))
        return cls(task.pool_size, eligible, validation, reference, groups, stress.missing_groups)

    @classmethod
    def without_labels(cls, pool_size: int, protocol: Protocol) -> Pool:
        """The pool of a protocol whose stress does not use groups, from the number of its images alone.

        Raises:
            ConfigError: the budget exceeds the eligible images.
        """
        eligible, validation = divided(pool_size, protocol.task.data.validation)
        _check_budget(protocol, pool_size, len(eligible))
        return cls(pool_size, eligible, validation, eligible, np.zeros((len(eligible), 0), dtype=bool), 0)

    def initial(self, seed: int, count: int) -> Ids:
        """The first labeled images, the same for all strategies under a seed; none shows a missing group.

        Raises:
            ConfigError: too few eligible images show none of the missing groups.
        """
        missing = stream(seed, "missing groups").permutation(self.groups.shape[1])[: self.missing_groups]
        allowed = self.eligible[~self.groups[:, missing].any(1)] if len(missing) else self.eligible
        if len(allowed) < count:
            msg = (
                f"seed {seed}: only {len(allowed)} images show none of the {self.missing_groups} missing groups, and the "
                f"first round needs {count}; lower stress.missing_groups or budget.initial"
            )
            raise ConfigError(msg)
        return np.sort(stream(seed, "initial").choice(allowed, count, replace=False))

    def first_labels(self, chosen: tuple[int, ...], seed: int, count: int) -> Ids:
        """The first labels of a record: those that it holds because a strategy chose them, or those drawn by its seed."""
        return np.array(chosen, dtype=np.int64) if chosen else self.initial(seed, count)

    def candidates(self, seed: int, number: int, labeled: Ids, subset: int | None) -> Ids:
        """The candidates of a round, sorted.

        Every eligible image has a random priority that depends on seed and round only, so that strategies with different
        labeled images get mostly the same candidates.

        Args:
            seed: of the run.
            number: of the round, from 0.
            labeled: images that are labeled already.
            subset: how many unlabeled images to draw; None for all.
        """
        unlabeled = np.setdiff1d(self.eligible, labeled, assume_unique=True)  # a tenth of the time
        if subset is None or subset >= len(unlabeled):
            return unlabeled
        priorities = self._priorities(seed, number)
        return np.sort(unlabeled[np.argpartition(priorities[unlabeled], subset)[:subset]])

    def turns(self, seed: int, number: int) -> Ids:
        """The turn of every image of the pool, from 0, when a round draws candidates; -1 for images that may not be labeled.

        The candidates of a round are the unlabeled images whose turns come first. For audits, which ask it of many runs.
        """
        priorities = self._priorities(seed, number)
        turns = np.full(self.size, -1)
        turns[self.eligible[np.argsort(priorities[self.eligible])]] = np.arange(len(self.eligible))
        return turns

    def _priorities(self, seed: int, number: int) -> np.ndarray:
        return stream(seed, "subset", number).random(self.eligible.max() + 1)


def divided(pool_size: int, held_out: int) -> tuple[Ids, Ids]:
    """The images of a pool that may be labeled, and those that are held out for validation, sorted; the same for all seeds."""
    order = stream(0, "validation").permutation(pool_size)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def needs_groups(stress: Stress) -> bool:
    """Whether a stress decides by groups, and therefore by labels, which images may be labeled or labeled first."""
    return stress.imbalance > 1 or stress.missing_groups > 0


def with_label_noise(task: Task[Any, Any], pool: Pool, stress: Stress, seed: int) -> Task[Any, Any]:
    """The task with wrong labels for a share of the eligible images, the same for all strategies under a seed.

    The validation slice and the test images keep their true labels. Without label noise this is the task itself.
    """
    if not stress.label_noise:
        return task
    noisy = copy.copy(task)
    noisy.stress = stress
    noisy.annotations = task.annotations.copy()
    noisy.annotations[pool.eligible] = task.mislabeled(pool.eligible, stress.label_noise, stream(seed, "label noise"))
    return noisy


def _imbalanced(groups: np.ndarray, imbalance: float, rng: np.random.Generator) -> np.ndarray:
    """Draw which images remain so that group sizes decrease exponentially (Cui et al. 2019, section 5.1).

    In random order, the groups are kept at rates from 1 down to 1 / imbalance. An image of several groups is kept at the
    lowest of their rates.

    Args:
        groups: (e, g) bool, the groups of each image.
        imbalance: largest over smallest rate.
        rng: draws the order and the images.

    Returns:
        (e,) bool: whether each image remains.
    """
    count = groups.shape[1]
    rates = imbalance ** -(rng.permutation(count) / max(count - 1, 1))
    rate = np.where(groups, rates, 1.0).min(1, initial=1.0)
    return rng.random(len(groups)) < rate


def _check_budget(protocol: Protocol, pool_size: int, eligible: int) -> None:
    needed = protocol.budget.labeled[-1]
    if needed > eligible:
        reason = "validation and imbalance" if protocol.stress.imbalance > 1 else "validation"
        msg = (
            f"{protocol.name}: a budget of {needed} labels is larger than the pool of {pool_size} images less "
            f"{pool_size - eligible} for {reason}; lower budget.initial, step or rounds, or task.data.validation"
        )
        raise ConfigError(msg)
