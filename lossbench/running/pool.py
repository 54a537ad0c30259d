"""Which images may be labeled, which are labeled first, and what labels an oracle gives."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossbench.config import ConfigError, Protocol
from lossbench.running.streams import stream
from tasks.base import Ids, Task
from tasks.settings import Stress


@dataclass(frozen=True)
class Pool:
    """Which images may be labeled: all of the pool but the protocol's validation slice, less those that imbalance takes."""

    eligible: Ids
    validation: Ids
    described: Ids
    """Whose poses the groups of pose are clusters of: the eligible images, and those that imbalance took."""
    present: np.ndarray
    """(e, g) bool: the groups of the eligible images, where the protocol makes use of them."""
    missing_groups: int

    @classmethod
    def of(cls, task: Task[Any, Any], protocol: Protocol) -> Pool:
        """The same pool and slice whatever the seed.

        Raises:
            ConfigError: the budget is larger than what may be labeled, or more groups are to be missing than there are.
        """
        held_out, stress = protocol.task.data.validation, protocol.stress
        order = stream(0, "validation").permutation(task.pool_size)
        eligible, validation = np.sort(order[held_out:]), np.sort(order[:held_out])
        described, present = eligible, np.zeros((len(eligible), 0), dtype=bool)
        if stress.imbalance > 1 or stress.missing_groups:
            present = task.groups(eligible, eligible).numpy()
            kept = _kept(present, stress.imbalance, stream(0, "imbalance"))
            eligible, present = eligible[kept], present[kept]
            if stress.missing_groups >= (groups := present.shape[1]):
                msg = (
                    f"{protocol.name}: {stress.missing_groups} of {groups} groups are to be missing; leave one at least"
                )
                raise ConfigError(msg)
        _check(protocol, task.pool_size, len(eligible))
        return cls(eligible, validation, described, present, stress.missing_groups)

    def initial(self, seed: int, count: int) -> Ids:
        """The first labeled images, the same for all strategies under a seed; none shows a group that is to be missing.

        Raises:
            ConfigError: too few images are without the missing groups.
        """
        hidden = stream(seed, "missing groups").permutation(self.present.shape[1])[: self.missing_groups]
        allowed = self.eligible[~self.present[:, hidden].any(1)] if len(hidden) else self.eligible
        if len(allowed) < count:
            msg = (
                f"seed {seed}: only {len(allowed)} images are without the {self.missing_groups} missing groups, and the "
                f"first round needs {count}; lower stress.missing_groups or budget.initial"
            )
            raise ConfigError(msg)
        return np.sort(stream(seed, "initial").choice(allowed, count, replace=False))

    def candidates(self, seed: int, number: int, labeled: Ids, subset: int | None) -> Ids:
        """The unlabeled images of lowest priority; every image has one random priority per seed and round."""
        unlabeled = np.setdiff1d(self.eligible, labeled)
        if subset is None or subset >= len(unlabeled):
            return unlabeled
        priorities = stream(seed, "subset", number).random(self.eligible.max() + 1)
        return np.sort(unlabeled[np.argsort(priorities[unlabeled])[:subset]])


def oracle(task: Task[Any, Any], pool: Pool, stress: Stress, seed: int) -> Task[Any, Any]:
    """The task with the labels that are given for its pool: a share of them wrong, the same whoever asks under a seed.

    Held-out and test images keep their true labels.
    """
    if not stress.label_noise:
        return task
    noisy = copy.copy(task)
    noisy.stress = stress
    noisy.annotations = task.annotations.copy()
    noisy.annotations[pool.eligible] = task.mislabeled(pool.eligible, stress.label_noise, stream(seed, "label noise"))
    return noisy


def _kept(present: np.ndarray, imbalance: float, rng: np.random.Generator) -> np.ndarray:
    """Which images stay: groups, in random order, shrink exponentially down to 1 / imbalance (Cui et al. 2019, section 5.1).

    An image of several groups stays as its rarest one does.
    """
    groups = present.shape[1]
    rates = imbalance ** -(rng.permutation(groups) / max(groups - 1, 1))
    rate = np.where(present, rates, 1.0).min(1, initial=1.0)
    return rng.random(len(present)) < rate


def _check(protocol: Protocol, pool_size: int, eligible: int) -> None:
    needed = protocol.budget.labeled[-1]
    if needed > eligible:
        why = "validation and imbalance" if protocol.stress.imbalance > 1 else "validation"
        msg = (
            f"{protocol.name}: a budget of {needed} labels is larger than the pool of {pool_size} images less "
            f"{pool_size - eligible} for {why}; lower budget.initial, step or rounds"
        )
        raise ConfigError(msg)
