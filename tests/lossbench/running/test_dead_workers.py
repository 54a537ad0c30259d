"""Workers that die: their run is made once more, then one line names it."""

from __future__ import annotations

import multiprocessing
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from mortal import echo_or_die
from sample_configs import TASK, written

import lossbench.running.deaths
from leaderboard.schema.records import read_record
from lossbench.running.deaths import WorkerError, ending, memory_kills
from lossbench.running.executors.schedule import Group
from lossbench.running.executors.workers import Worker, spread

SECONDS = 180  # how long a subprocess may take on a busy machine
COMMAND = [sys.executable, "-c", "from lossbench.cli.main import main; main()", "run"]


def outcome(items: list[tuple[str, str]], workers: int = 1) -> list[str]:
    context = multiprocessing.get_context("spawn")
    processes = [Worker(lambda: ProcessPoolExecutor(1, context)) for _ in range(workers)]
    groups, titles = [Group("task", 0)] * len(items), [f"run {number}" for number in range(len(items))]
    try:
        return spread(echo_or_die, items, groups, processes, lambda: None, titles)
    finally:
        assert not multiprocessing.active_children()


def test_a_run_whose_worker_dies_is_made_once_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = outcome([("well", ""), ("killed", str(tmp_path / "mark")), ("well", "")])
    assert found == ["well 0", "killed 1 again", "well 2"]
    (record,) = caplog.records
    wanted = r"lossbench: run 1: its worker was ended by SIGKILL, .*memory; the run goes on in a new one"
    assert re.fullmatch(wanted, record.getMessage())


def test_a_run_whose_worker_dies_twice_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(
        WorkerError,
        match=r"run 1: its worker ended with exit code 0, twice; the strategy's code, or a library, ends it",
    ) as caught:
        outcome([("well", ""), ("leaves", ""), ("well", "")])
    assert caught.value.exit_code == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("code", "kills", "wanted"),
    [
        (-9, 0, "was ended by SIGKILL, most often for lack of memory"),
        (-9, 1, "was ended by SIGKILL, as the machine ran out of memory"),
        (-11, 1, "was ended by SIGSEGV"),
        (-99, 0, "was ended by signal 99"),
        (0, 0, "ended with exit code 0"),
        (1, 0, "ended with exit code 1"),
        (None, 0, "ended"),
    ],
)
def test_how_a_process_ended_is_said(code: int | None, kills: int, wanted: str) -> None:
    assert ending(code, kills) == wanted


def test_the_kernel_counts_what_it_ends_for_lack_of_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("nr_free_pages 12\noom_kill 3\nother 1\n")
    monkeypatch.setattr(lossbench.running.deaths, "KERNEL_COUNTERS", tmp_path / "vmstat")
    assert memory_kills() == 3
    monkeypatch.setattr(lossbench.running.deaths, "KERNEL_COUNTERS", tmp_path / "none")
    assert memory_kills() == 0


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that make runs: children of the fork server, or spawned."""
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE
        and ("multiprocessing.spawn" in " ".join(child.cmdline()) or child.ppid() != process.pid)
    ]


def kill(workers: list[psutil.Process]) -> None:
    """End processes; those that have ended meanwhile do not matter."""
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.send_signal(signal.SIGKILL)


@pytest.mark.slow  # two processes import torch
@pytest.mark.parametrize("deaths", [1, 2])
def test_a_sweep_outlives_one_death_of_a_worker_and_names_the_run_at_the_second(deaths: int, tmp_path: Path) -> None:
    task = TASK.replace("step = 6, rounds = 3", "step = 1, rounds = 14").replace("epochs = 1", "epochs = 4")
    sweep, out = written(tmp_path, task), tmp_path / "out"
    words = [*COMMAND, str(sweep), "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not any(read_record(path).rounds for path in out.glob("records/*/*.json")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        kill(workers_of(process)[:1])
        while deaths > 1 and process.poll() is None:  # until a run has lost its second worker, too
            kill(workers_of(process))
            time.sleep(0.2)
        _, errors = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    lines = errors.splitlines()
    assert re.fullmatch(
        r"lossbench: tiny random shared seed [01]: its worker was ended by SIGKILL, .*; the run .*", lines[0]
    )
    if deaths == 1:
        assert process.returncode == 0
        assert len(lines) == 1
        assert all(read_record(path).complete for path in out.glob("records/*/*.json"))
    else:
        assert process.returncode == 1
        assert re.search(
            r"tiny random shared seed [01]: its worker was ended by SIGKILL, .*, twice; use fewer", lines[-1]
        )
    assert not list(out.glob("**/*.lock"))
