"""Strategies that can pick before anything is labeled do so on every kind of task."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_learners import MakeLearner

from strategies import COLD_STARTERS, Context, load_strategy
from strategies.random import Random
from tasks.base import Task

CANDIDATES, PICKS = np.arange(20), 4
NOTHING = np.zeros(0, dtype=np.int64)


@pytest.mark.parametrize("name", COLD_STARTERS)
def test_it_picks_where_nothing_is_labeled(name: str, kind: str, task: Task, trained: MakeLearner) -> None:
    ctx = Context(
        budget=PICKS,
        labeled=NOTHING,
        candidates=CANDIDATES,
        committee=(trained(kind, Random()),),
        rng=np.random.default_rng(0),
        labeled_groups=lambda: task.groups(NOTHING, NOTHING),
    )
    picks = load_strategy(name).select(ctx).ids
    assert len(set(picks.tolist()) & set(CANDIDATES.tolist())) == PICKS
