"""A Ray cluster of two nodes on this machine, and commands that use it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 240  # how long a command may take on a busy machine
COMMAND = [sys.executable, "-c", "from lossbench.cli.entry import main; main()", "run"]


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
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    found = Cluster()
    try:
        found.add_node(num_cpus=int(first_node), include_dashboard=False)
        yield TwoNodes(found)
    finally:
        found.shutdown()


def start(*words: str | Path) -> subprocess.Popen[str]:
    """A command `run` in a process of its own."""
    command = [*COMMAND, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until something is so, while a process runs."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, f"it ended first: {process.stdout.read()}"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> str:
    """What a command printed, which ends well."""
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    return output
