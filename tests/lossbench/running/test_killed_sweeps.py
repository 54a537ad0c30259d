"""Sweeps in processes of their own: killed, run twice at once, or failing in a worker, they end in the same records."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from rounding import alike
from run_processes import LONG_TASK, ROUNDS, SECONDS, start, wait_for
from sample_configs import written
from sweeps import Heard, leftovers, planned, run, timeless, with_short

from leaderboard.schema.records import read_record


@pytest.fixture(scope="module")
def long_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of several rounds."""
    folder = tmp_path_factory.mktemp("long")
    return written(folder, task=LONG_TASK, sweep='protocols = ["tiny"]\nstrategies = ["learning-loss"]\nseeds = [0]\n')


@pytest.fixture(scope="module")
def uninterrupted(long_sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its record, made without a break."""
    (path,) = run(long_sweep, tmp_path_factory.mktemp("uninterrupted"))
    return path


@pytest.mark.slow
def test_a_killed_run_ends_in_the_same_record(
    long_sweep: Path, uninterrupted: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    (path,) = (job.path(tmp_path) for job in planned(long_sweep))
    process = start(long_sweep, "--out", tmp_path, "--workers", "1")
    started.append(process)
    wait_for(lambda: path.exists() and len(read_record(path).rounds) >= 2, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    halfway = read_record(path)
    assert 2 <= len(halfway.rounds) < ROUNDS, "it was to be killed on its way"
    sink = Heard()
    run(long_sweep, tmp_path, sink=sink)
    assert sink.rounds[0][1] == len(halfway.rounds) + 1, "what is recorded is not made again"
    assert read_record(path).rounds[: len(halfway.rounds)] == halfway.rounds
    assert alike(timeless(path), timeless(uninterrupted))
    assert not list(tmp_path.glob("**/*.lock"))


@pytest.mark.slow  # five starts of Python with torch
def test_a_run_killed_again_and_again_ends_in_the_same_record(
    long_sweep: Path, uninterrupted: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    (path,) = (job.path(tmp_path) for job in planned(long_sweep))
    moments: list[Callable[[], object]] = [
        lambda: list(tmp_path.glob("cache/*.unfinished")),
        lambda: list(tmp_path.glob("models/*.lock")),
        lambda: list(tmp_path.glob("models/*.safetensors")),
        lambda: path.exists() and len(read_record(path).rounds) > 3,
    ]
    for moment in moments:
        process = start(long_sweep, "--out", tmp_path, "--workers", "1")
        started.append(process)
        wait_for(moment, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    process = start(long_sweep, "--out", tmp_path, "--workers", "1")
    started.append(process)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert alike(timeless(path), timeless(uninterrupted))


@pytest.mark.slow  # two starts of Python with torch
def test_two_processes_on_one_folder_make_one_record(
    long_sweep: Path, uninterrupted: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    for _ in range(2):
        started.append(start(long_sweep, "--out", tmp_path, "--workers", "1"))
    outputs = [each.communicate(timeout=SECONDS)[0] for each in started]
    assert [each.returncode for each in started] == [0, 0], "\n".join(outputs)
    (path,) = tmp_path.glob("records/**/*.json")
    assert alike(timeless(path), timeless(uninterrupted))
    assert leftovers(tmp_path) == []
    fits = list(tmp_path.glob("models/*.safetensors"))
    assert len(fits) == ROUNDS


@pytest.mark.slow  # three processes import torch
def test_workers_end_when_their_parent_is_killed(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    sweep = written(tmp_path, LONG_TASK, f'protocols = ["tiny"]\nstrategies = ["random"]\nseeds = {list(range(40))}\n')
    process = start(sweep, "--out", tmp_path / "out", "--workers", "2")
    started.append(process)
    wait_for(lambda: len(list(tmp_path.glob("out/records/*/*.json"))) > 1, process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=SECONDS)
    for each in alive:
        each.kill()
    assert not alive, [each.cmdline() for each in alive]
    made = sorted(tmp_path.glob("out/records/*/*.json"))
    assert 2 <= len(made) < 40
    assert all(read_record(path).rounds for path in made)


@pytest.mark.slow  # two workers import torch
def test_a_strategy_that_fails_in_a_worker_ends_the_sweep_too(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    process = start(with_short(tmp_path), "--out", tmp_path / "out", "--workers", "2")
    started.append(process)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert output.splitlines()[-1] == (
        "lossbench: short on tiny, round 1: the strategy returned 5 ids; the budget is 6"
    )
    assert not list((tmp_path / "out").glob("**/*.part"))
