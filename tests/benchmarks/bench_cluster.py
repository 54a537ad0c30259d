"""A sweep of 24 short runs on two nodes of one core each: `uv run pytest -m slow -n 0 tests/benchmarks/bench_cluster.py -s`.

Wall clock of the whole command, start of processes included: one core, two local workers, and a Ray cluster. Half an hour on an idle
machine of two cores.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="the extra `cluster`")

from ray_clusters import cluster
from sample_configs import written

pytestmark = pytest.mark.slow
MOST_OF_ONE_CORE, MOST_OF_LOCAL = 0.6, 1.10
TASK = """
name = "tiny"
version = 1
budget = { initial = 100, step = 100, rounds = 2 }

[task]
kind = "classification"
data = { scenes = { seed = 7, pool = 2000, test = 500 }, validation = 250 }
model = { width = 8, stem = "half" }
recipe = { epochs = 60, batch = 16, optimizer = "adamw", learning_rate = 5e-3 }
"""
STRATEGIES, SEEDS = ("random", "margin", "entropy", "core-set"), tuple(range(6))
SWEEP = f'protocols = ["tiny"]\nstrategies = {list(STRATEGIES)}\nseeds = {list(SEEDS)}\n'


def wall_clock(sweep: Path, out: Path, *options: str) -> float:
    """Seconds of a sweep from an empty folder."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "lossbench", "run", sweep, "--out", out, *options], check=True)
    took = time.perf_counter() - began
    assert len(list((out / "records").rglob("*.json"))) == len(STRATEGIES) * len(SEEDS)
    return took


def test_two_nodes(tmp_path: Path) -> None:
    sweep = written(tmp_path, TASK, SWEEP)
    one = wall_clock(sweep, tmp_path / "one", "--workers", "1")
    local = wall_clock(sweep, tmp_path / "local", "--workers", "2")
    with cluster() as nodes:
        nodes.add_node()
        ray = wall_clock(sweep, tmp_path / "ray", "--cluster", nodes.address)
    print(f"\none core {one:.0f} s, two local workers {local:.0f} s, two nodes {ray:.0f} s")
    print(f"two nodes beside one core {ray / one:.2f}, beside two local workers {ray / local:.2f}")
    assert ray <= MOST_OF_ONE_CORE * one
    assert ray <= MOST_OF_LOCAL * local
