"""Which run is made next, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
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
        self._groups = tuple(groups)
        self._places: dict[Hashable, Group] = {}

    def next(self, worker: Hashable, fits: Callable[[int], bool] = lambda _: True) -> int | None:
        """The number of the worker's next run; None when all are taken. The run before it has ended.

        Args:
            worker: who asks.
            fits: whether the worker can make the run of this number; it holds for all of a group or for none.
        """
        last = self._places.pop(worker, None)
        busy = list(self._places.values())
        busy_tasks = [group.task for group in busy]

        def cost(group: Group) -> tuple[bool, int, int]:
            own_task = last is not None and group.task == last.task
            return group != last, busy.count(group), 0 if own_task else busy_tasks.count(group.task)

        possible = [group for group, numbers in self._waiting.items() if fits(numbers[0])]
        if not possible:
            return None
        chosen = min(possible, key=cost)
        self._places[worker] = chosen
        number = self._waiting[chosen].pop(0)
        if not self._waiting[chosen]:
            del self._waiting[chosen]
        return number

    @property
    def empty(self) -> bool:
        """Whether no run waits."""
        return not self._waiting

    @property
    def first(self) -> int:
        """The number of a run that waits."""
        return next(iter(self._waiting.values()))[0]

    def put_back(self, worker: Hashable, number: int) -> None:
        """Let somebody make the run that the worker has lost, before others of its group."""
        self._places.pop(worker, None)
        self._waiting.setdefault(self._groups[number], []).insert(0, number)
