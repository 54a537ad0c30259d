"""Sweeps on a Ray cluster of two nodes on this machine: nodes, workers and commands that die, and nodes that do not fit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("ray", reason="the extra `cluster`")

from ray_clusters import TwoNodes, cluster
from rounding import alike
from run_processes import LONG_TASK, ROUNDS, SECONDS, ended, start, wait_for
from sample_configs import TASK, written
from sweeps import leftovers, planned, timeless
from sweeps import run as run_here

from leaderboard.schema.records import read_record

pytestmark = pytest.mark.slow  # every test starts a cluster
SWEEP = 'protocols = ["tiny"]\nstrategies = ["learning-loss", "random"]\nseeds = [0, 1]\n'
IN_WORKERS = "import sys\nif any('default_worker' in word for word in sys.orig_argv):\n"
OTHER_CLOCK = IN_WORKERS + "    import time\n    here = time.time\n    time.time = lambda: here() + 1e8\n"
FULL_DISK = IN_WORKERS + "    import resource\n    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"


@pytest.fixture
def nodes() -> Iterator[TwoNodes]:
    """A cluster with one node."""
    with cluster() as found:
        yield found


@pytest.fixture(scope="module")
def long_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs of several rounds."""
    return written(tmp_path_factory.mktemp("long"), LONG_TASK, SWEEP)


@pytest.fixture(scope="module")
def alone(long_sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its records, made in one process."""
    out = tmp_path_factory.mktemp("alone")
    run_here(long_sweep, out)
    return out


def same_records(sweep: Path, out: Path, alone: Path) -> bool:
    """Whether all records are those of a single process, clocks aside."""
    return all(alike(timeless(job.path(out)), timeless(job.path(alone))) for job in planned(sweep))


def customized(folder: Path, code: str) -> dict[str, str]:
    """Variables under which Python runs code before anything else."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


def workers() -> list[psutil.Process]:
    """The processes that make runs on the nodes of this machine."""
    found = psutil.Process().children(recursive=True)
    return [
        each for each in found if each.status() != psutil.STATUS_ZOMBIE and "ray::rounds" in " ".join(each.cmdline())
    ]


def test_a_sweep_outlives_a_worker_and_a_node_with_another_clock(
    nodes: TwoNodes, long_sweep: Path, alone: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    (tmp_path / "tmp").mkdir()
    second = nodes.add_node(**customized(tmp_path / "python", OTHER_CLOCK), TMPDIR=str(tmp_path / "tmp"))
    out = tmp_path / "out"
    process = start(long_sweep, "--out", out, "--cluster", nodes.address)
    started.append(process)
    own = tmp_path / "tmp" / f"lossbench-{os.getuid()}" / "models"
    wait_for(lambda: len(list(own.glob("*.safetensors"))) >= 2, process)
    nodes.kill_node(second)
    wait_for(workers, process)
    workers()[0].send_signal(signal.SIGKILL)
    output = ended(process)
    assert "the run goes on from its last round" in output
    assert same_records(long_sweep, out, alone)
    assert not (out / "models").exists(), "models stay on the node that made them"
    assert leftovers(out) == []


def test_a_killed_command_and_a_stopped_one_go_on(
    nodes: TwoNodes, long_sweep: Path, alone: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    nodes.add_node()
    out = tmp_path / "out"
    words = (long_sweep, "--out", out, "--scratch", tmp_path / "scratch", "--cluster", nodes.address)

    def rounds() -> int:
        return sum(len(read_record(path).rounds) for path in out.glob("records/*/*.json"))

    for sign, more in ((signal.SIGKILL, 2), (signal.SIGINT, 3)):
        before = rounds()
        process = start(*words)
        started.append(process)
        wait_for(lambda: rounds() >= before + more, process)  # noqa: B023 - is called here
        process.send_signal(sign)
        if sign == signal.SIGINT:  # a terminal gives it to the command's child, too
            for child in psutil.Process(process.pid).children():
                child.send_signal(sign)
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == (-sign if sign == signal.SIGKILL else 128 + sign), output
        if sign == signal.SIGINT:
            assert "stopped; finished rounds are kept. To go on: lossbench run" in output
        _, alive = psutil.wait_procs(workers(), timeout=60)
        assert not alive, "what the cluster did for the command has ended"
    assert 5 <= rounds() < 4 * ROUNDS
    output = ended(start(*words, "--minutes", "0"))
    assert "Stopped after 0 minutes: " in output
    ended(start(*words))
    assert same_records(long_sweep, out, alone)
    assert leftovers(out) == []


def test_a_node_with_other_versions_and_one_with_a_full_disk_are_left_out(
    nodes: TwoNodes, long_sweep: Path, alone: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    fake = tmp_path / "fake" / "timm-0.1.2.dist-info"
    fake.mkdir(parents=True)
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 0.1.2\n", encoding="utf-8")
    (tmp_path / "tmp").mkdir()
    nodes.add_node(PYTHONPATH=str(tmp_path / "fake"))
    nodes.add_node(**customized(tmp_path / "python", FULL_DISK), TMPDIR=str(tmp_path / "tmp"))
    out = tmp_path / "out"
    output = ended(start(long_sweep, "--out", out, "--cluster", nodes.address))
    lines = [line for line in output.splitlines() if "is left out" in line]
    assert sum("it has timm 0.1.2, and this machine 1.0.31" in line for line in lines) == 1, output
    assert sum("its disk is full, or cannot be written" in line for line in lines) == 1, output
    assert len(lines) == 2
    assert same_records(long_sweep, out, alone)


def test_another_node_is_waited_for_when_the_last_one_is_out(
    long_sweep: Path, alone: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    (tmp_path / "tmp").mkdir()
    out = tmp_path / "out"
    with cluster(first_node=False) as nodes:
        nodes.add_node(**customized(tmp_path / "python", FULL_DISK), TMPDIR=str(tmp_path / "tmp"))
        process = start(long_sweep, "--out", out, "--cluster", nodes.address)
        started.append(process)
        assert any("another one is waited for, for 60 s" in line for line in process.stdout)
        nodes.add_node()
        ended(process)
    assert same_records(long_sweep, out, alone)


def test_a_cluster_without_a_node_that_fits_is_one_line(tmp_path: Path) -> None:
    sweep = written(tmp_path, TASK + "[needs]\nmemory_gibibytes = 100_000\n")
    with cluster() as nodes:
        process = start(sweep, "--out", tmp_path / "out", "--cluster", nodes.address)
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 2, output
    (_, line) = output.splitlines()
    assert line.startswith(
        "lossbench: no node of the cluster can make tiny random shared seed 0, which needs 1 CPU, 1.07374e+14 memory; "
    )
