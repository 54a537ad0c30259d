"""Which worker makes which run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.running.executors.schedule import Group, Schedule
from lossbench.running.executors.workers import worker_context


def order(groups: Sequence[Group], turns: Sequence[int]) -> list[int | None]:
    """The numbers that workers get, in the order in which they ask."""
    schedule = Schedule(groups)
    return [schedule.next(worker) for worker in turns]


A, B, C = (Group(task, 0) for task in "abc")


def test_workers_begin_on_different_tasks_and_stay_there() -> None:
    groups = [A, A, A, B, B, B, C, C]
    assert order(groups, [0, 1, 0, 1, 0]) == [0, 3, 1, 4, 2]


def test_a_worker_whose_task_is_done_takes_one_that_nobody_works_on_and_helps_at_the_end() -> None:
    groups = [A, B, B, B, B, C, C]
    assert order(groups, [0, 1, 0, 0, 0, 1, 0]) == [0, 1, 5, 6, 2, 3, 4]


def test_on_one_task_each_worker_has_a_seed_of_its_own() -> None:
    groups = [Group("a", seed) for seed in (0, 0, 1, 1, 2, 2)]
    assert order(groups, [0, 1, 0, 1, 0, 1, 0]) == [0, 2, 1, 3, 4, 5, None]


def test_the_next_seed_of_ones_own_task_comes_before_another_task() -> None:
    groups = [Group("a", 0), Group("a", 1), Group("b", 0), Group("b", 1), Group("c", 0)]
    assert order(groups, [0, 1, 0, 1, 0]) == [0, 2, 1, 3, 4]


@given(
    st.lists(st.builds(Group, st.sampled_from("ab"), st.integers(0, 2)), max_size=12),
    st.lists(st.integers(0, 2), min_size=13, max_size=13),
)
def test_every_run_is_made_once(groups: list[Group], turns: list[int]) -> None:
    taken = order(groups, turns)
    assert sorted(each for each in taken if each is not None) == list(range(len(groups)))
    assert all(each is None for each in taken[len(groups) :])


@pytest.mark.parametrize(
    ("platform", "device", "method"),
    [("linux", "cpu", "forkserver"), ("linux", "cuda", "spawn"), ("darwin", "cpu", "spawn"), ("win32", "cpu", "spawn")],
)
def test_workers_are_forked_only_where_that_is_safe(
    platform: str, device: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    assert worker_context(device).get_start_method() == method
