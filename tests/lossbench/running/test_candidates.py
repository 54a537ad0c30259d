"""Who may be picked: the validation slice, the initial set, and the candidates of each round."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbench.config import ConfigError, Protocol
from lossbench.running.kept.models import ModelCache
from lossbench.running.loop import Run
from lossbench.running.pool import Pool
from lossbench.submissions.conformance import tiny_protocol
from strategies.bald import Bald
from strategies.committee import CommitteeVoteEntropy
from strategies.learning_loss import LearningLossMSE
from strategies.random import Random


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


@pytest.mark.slow
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
    budget = fitting.budget.model_copy(update={"initial": 37})  # a file that says so is refused when it is read
    with pytest.raises(ConfigError) as caught:
        next(run(protocol=fitting.model_copy(update={"budget": budget}), folder="none").rounds())
    assert str(caught.value) == (
        "tiny-classification: a budget of 49 labels is larger than the pool of 60 images less 12 for validation; "
        "lower budget.initial, step or rounds, or task.data.validation"
    )
    assert not (tmp_path / "none").exists()
