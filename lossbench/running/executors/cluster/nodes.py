"""The nodes of a cluster: what each has, and which are left out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lossbench.config import Needs
from lossbench.running.executors.cluster.remote import versions
from tasks.notices import notice

GIBIBYTE = 1 << 30
SECONDS_BETWEEN_LOOKS = 1.0
ROUNDING = 1e-6
"""Shares of a GPU need not add up to one exactly."""


def demands(needs: Needs, device: str) -> dict[str, float]:
    """What a run takes of a node, as Ray names it."""
    found = {"CPU": float(needs.cpus)}
    if device != "cpu":
        found["GPU"] = needs.gpus
    if needs.memory_gibibytes is not None:
        found["memory"] = needs.memory_gibibytes * GIBIBYTE
    return found


@dataclass
class Node:
    """A node on which runs are made."""

    id: str
    name: str
    """For people."""
    has: Mapping[str, float]
    """Its resources, as Ray names them."""
    taken: dict[int, Mapping[str, float]] = field(default_factory=dict)
    """What runs take of them, by the place of the run on the node."""

    def fits(self, wanted: Mapping[str, float]) -> bool:
        """Whether there is room for a run."""
        return all(
            sum(each.get(name, 0.0) for each in self.taken.values()) + amount <= self.has.get(name, 0.0) + ROUNDING
            for name, amount in wanted.items()
        )

    def free_place(self) -> int:
        """The lowest number that no run on the node has."""
        return next(number for number in range(len(self.taken) + 1) if number not in self.taken)


class Nodes:
    """The nodes of a cluster that can be used: alive, and with the same versions as this process.

    Args:
        ray: connected.
    """

    def __init__(self, ray: Any) -> None:
        self.usable: dict[str, Node] = {}
        """By their id."""
        self._ray = ray
        self._asked: dict[Any, Node] = {}
        self._left_out: set[str] = set()
        self._looked = float("-inf")

    @property
    def asking(self) -> bool:
        """Whether a node has not said yet what is installed there."""
        return bool(self._asked)

    def look(self) -> None:
        """See which nodes have come and gone."""
        if time.monotonic() - self._looked > SECONDS_BETWEEN_LOOKS:
            self._looked = time.monotonic()
            alive = {each["NodeID"]: each for each in self._ray.nodes() if each["Alive"]}
            for gone in self.usable.keys() - alive.keys():
                del self.usable[gone]
            asked = {node.id for node in self._asked.values()}
            for identity in alive.keys() - self.usable.keys() - asked - self._left_out:
                self._ask(identity, alive[identity])
        self._hear()

    def _ask(self, identity: str, table: Mapping[str, Any]) -> None:
        node = Node(identity, f"{table['NodeName']} ({identity[:8]})", table["Resources"])
        self._asked[self.pinned(self._ray.remote(versions), node, {"CPU": 0.0}).remote()] = node

    def _hear(self) -> None:
        """Take in the nodes that have the same versions as this process."""
        if not self._asked:
            return
        ended, _ = self._ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0)
        for reference in ended:
            node = self._asked.pop(reference)
            try:
                fault = difference(versions(), self._ray.get(reference))
            except self._ray.exceptions.RayTaskError as error:
                fault = f"it cannot load this version of lossbench ({str(error).strip().splitlines()[-1]})"
            except self._ray.exceptions.RayError:
                continue  # the node has died, or its worker; it is asked again
            if fault:
                self.leave_out(node, fault)
            else:
                self.usable[node.id] = node

    def forget(self, node: Node) -> None:
        """Use a node no more, which has died; Ray may say so only later."""
        self._left_out.add(node.id)
        self.usable.pop(node.id, None)

    def leave_out(self, node: Node, why: str) -> None:
        """Use a node no more, and say so."""
        if node.id not in self._left_out:
            notice(f"node {node.name} is left out: {why}")
        self.forget(node)

    def pinned(self, function: Any, node: Node, wanted: Mapping[str, float]) -> Any:
        """A remote function that runs on this node alone, and is not repeated."""
        strategies = self._ray.util.scheduling_strategies
        return function.options(
            num_cpus=wanted["CPU"],
            num_gpus=wanted.get("GPU", 0.0),
            memory=wanted.get("memory"),
            max_retries=0,
            scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(node.id, soft=False),
        )


def difference(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """The first versions that differ between two machines; empty if none does."""
    for name in _sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            return f"it has {name} {there.get(name, 'not at all')}, and this machine {here.get(name, 'not at all')}"
    return ""


def _sorted(names: Iterable[str]) -> list[str]:
    """Our own code last: it differs where the packages do, too."""
    return sorted(names, key=lambda name: (" " in name, name))
