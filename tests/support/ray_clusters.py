"""A Ray cluster of two nodes on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TwoNodes:
    """Two nodes of one CPU each. The command's process belongs to the first."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address

    def add_node(self, **environment: str) -> Any:
        """One more node, whose processes have these variables, too."""
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            return self._cluster.add_node(num_cpus=1)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def kill_node(self, node: Any) -> None:
        """End a node with its workers at once, as when its power fails."""
        self._cluster.remove_node(node, allow_graceful=False)


@contextmanager
def cluster(first_node: bool = True) -> Iterator[TwoNodes]:
    """A cluster of one node, to which others can be added; it is ended with the block.

    Args:
        first_node: whether runs can be made on it.
    """
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}  # read when Ray is imported
    from ray.cluster_utils import Cluster

    found = Cluster()
    try:
        found.add_node(num_cpus=int(first_node), include_dashboard=False)
        yield TwoNodes(found)
    finally:
        found.shutdown()
