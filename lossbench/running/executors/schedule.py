"""Which run is made next, and by whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Group(NamedTuple):
    """Runs that share something: a task that is built once, and under one seed the models of the first round."""

    task: str
    seed: int


class Schedule:
    """Which run a worker makes next, so that workers seldom build a task twice or wait for each other.

    A worker stays with its group. Then it takes the first group that nobody works on, of its own task or of one that
    nobody works on rather than of another's; when there is none, it joins the group with the fewest workers.

    Args:
        groups: of all runs, in their order.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self._waiting: dict[Group, list[int]] = {}
        for number, group in enumerate(groups):
            self._waiting.setdefault(group, []).append(number)
        self._places: dict[int, Group] = {}

    def next(self, worker: int) -> int | None:
        """The number of the worker's next run; None when all are taken. The run before it has ended."""
        last = self._places.pop(worker, None)
        busy = list(self._places.values())
        busy_tasks = [group.task for group in busy]

        def cost(group: Group) -> tuple[bool, int, int]:
            own_task = last is not None and group.task == last.task
            return group != last, busy.count(group), 0 if own_task else busy_tasks.count(group.task)

        if not self._waiting:
            return None
        chosen = min(self._waiting, key=cost)
        self._places[worker] = chosen
        number = self._waiting[chosen].pop(0)
        if not self._waiting[chosen]:
            del self._waiting[chosen]
        return number
