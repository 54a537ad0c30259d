"""First labels that a strategy picks from the embeddings of a pretrained trunk, before anything is labeled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossbench.config import RANDOM_FIRST, ConfigError, Protocol
from lossbench.running.streams import stream
from strategies import COLD_STARTERS, Context, Strategy, load_strategy
from tasks.training.learner import Learner

if TYPE_CHECKING:
    from lossbench.running.pool import Pool
    from tasks.base import Ids, Task

BEFORE_ROUND_0 = -1


def first_strategy(protocol: Protocol) -> Strategy | None:
    """The strategy that picks the first labels; None where they are drawn at random.

    Raises:
        ConfigError: it is not one of Lossbench that can pick before anything is labeled.
    """
    name = protocol.budget.first
    if name == RANDOM_FIRST:
        return None
    if name not in COLD_STARTERS:  # nor a file, which no record would name
        able = ", ".join(COLD_STARTERS)
        msg = f"{protocol.name}: budget.first: {name} cannot pick before anything is labeled; {able} and random can"
        raise ConfigError(msg)
    return load_strategy(name)


def first_labels(task: Task[Any, Any], pool: Pool, protocol: Protocol, seed: int) -> Ids:
    """The images labeled before the first round, sorted; the same for all strategies under a seed.

    Args:
        task: its images, and its model with pretrained weights.
        pool: what may be labeled.
        protocol: says by `budget.first` who picks.
        seed: of the run.

    Raises:
        ConfigError: the named strategy cannot pick before anything is labeled.
        DataError: the task's model has no pretrained weights.
    """
    strategy = first_strategy(protocol)
    if strategy is None:
        return pool.initial(seed, protocol.budget.initial)
    unlabeled, nothing = task.unlabeled, np.zeros(0, dtype=np.int64)
    model = task.pretrained_model().placed(unlabeled.device).eval()
    ctx = Context(
        budget=protocol.budget.initial,
        labeled=nothing,
        candidates=pool.candidates(seed, BEFORE_ROUND_0, nothing, protocol.budget.subset),
        committee=(Learner(unlabeled, model),),
        rng=stream(seed, "initial", strategy.name),
        labeled_groups=lambda: task.groups(nothing, pool.group_reference),
    )
    return np.sort(strategy.select(ctx).ids)
