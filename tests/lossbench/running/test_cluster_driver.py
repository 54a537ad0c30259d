"""A sweep on a cluster whose workers keep dying, or whose nodes are all gone: it ends with one line. Without Ray."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from fake_records import make_record
from sample_configs import written
from sweeps import Heard, planned

from lossbench.paths import Paths
from lossbench.running.deaths import RunError, WorkerError
from lossbench.running.executors.base import NEVER
from lossbench.running.executors.cluster import driver as module
from lossbench.running.executors.cluster.driver import MOST_LOSSES, SECONDS_WITHOUT_NODES, Driver, Going


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    """A driver whose Ray does nothing."""
    ray = MagicMock()
    names = ("NodeDiedError", "TaskUnschedulableError", "OutOfMemoryError")
    ray.exceptions = SimpleNamespace(**{name: type(name, (Exception,), {}) for name in names})
    return Driver(ray, planned(written(tmp_path)), Paths(tmp_path, tmp_path / "out"), Heard(), NEVER, None)


def lose(driver: Driver, *, begun: bool = True) -> None:
    """The worker of the first run dies."""
    worker = ("node", 0)
    assert driver._schedule.next(worker, lambda number: number == 0) == 0
    node = SimpleNamespace(id="node", name="host")
    driver._lost(Going(0, node, 0, MagicMock(), ExitStack(), begun), RuntimeError("dead"))


def test_the_fourth_death_in_one_round_ends_the_sweep(driver: Driver) -> None:
    for _ in range(MOST_LOSSES):
        lose(driver)
    lose(driver, begun=False)  # it had not begun, and counts for nothing
    generator = object()
    driver._going[generator] = Going(0, MagicMock(), 0, MagicMock(), ExitStack())
    driver._heard(generator, make_record())
    del driver._going[generator]
    for _ in range(MOST_LOSSES):
        lose(driver)
    with pytest.raises(WorkerError, match=r"its worker on node host has died .*, for the 4th time in one round\."):
        lose(driver)


def test_a_minute_without_nodes_ends_the_sweep(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = driver._last_seen
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    driver._used_nodes = True
    for _ in range(2):
        driver._check_nodes()
    assert caplog.text.count("another one is waited for, for 60 s") == 1
    now += SECONDS_WITHOUT_NODES
    with pytest.raises(
        RunError, match=r"no node of the cluster can make tiny random .*, any more\. Finished rounds are kept"
    ):
        driver._check_nodes()
