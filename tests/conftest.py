"""What all tests share: shape checks switched on, as many workers as cores, and tiny tasks of each kind."""

from __future__ import annotations

import gc
import os
import sys

os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})  # before torch is imported

gc.disable()  # until all tests are collected: their modules stay, and looking through them takes a third of the time

from jaxtyping import install_import_hook

BENCHMARKS = any("benchmarks" in argument for argument in sys.argv)
collect_ignore = [] if BENCHMARKS else ["benchmarks"]
if not BENCHMARKS:  # checking shapes takes time
    install_import_hook(["lossnet", "tasks", "strategies"], "beartype.beartype")

# isort: split
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import Result
from tiny_tasks import KINDS

if TYPE_CHECKING:  # the process that only hands out tests to workers needs no torch
    from lossbench.submissions.conformance import Trial
    from strategies import Strategy
    from tasks.base import Task
    from tasks.training.learner import Learner

MOST_WORKERS = 4


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the seed under which the tests' tiny models are trained."""
    parser.addoption("--training-seed", type=int, default=0, help="seed of the tiny models; tests hold under any")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker a core; none for single tests and files, for benchmarks, and where output is to be seen at once."""
    named = any("::" in each or Path(each).is_file() for each in config.args)
    return (
        0 if named or BENCHMARKS or config.option.capture == "no" else min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    )


def pytest_collection_finish() -> None:
    """Collect garbage from here on, but look no more through what was imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    from lossbench.running.sweep import prepare

    prepare()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session share; whoever writes to it takes a lock."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def cache(shared: Path) -> Path:
    """Where rendered scenes are kept, for the whole session."""
    return shared / "cache"


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of task in turn."""
    return request.param


@pytest.fixture(scope="session")
def tiny_task(cache: Path) -> Callable[[str], Task]:
    """The tiny task of a kind, built once; whoever changes its labels must put them back."""
    from tiny_learners import built

    tasks: dict[str, Task] = {}

    def of(kind: str) -> Task:
        if kind not in tasks:
            tasks[kind] = built(kind, cache)
        return tasks[kind]

    return of


@pytest.fixture(scope="session")
def task(kind: str, tiny_task: Callable[[str], Task]) -> Task:
    """Each tiny task in turn."""
    return tiny_task(kind)


@pytest.fixture(scope="session")
def classification(tiny_task: Callable[[str], Task]) -> Task:
    """The tiny classification task."""
    return tiny_task("classification")


@pytest.fixture(scope="session")
def trained(tiny_task: Callable[[str], Task], shared: Path, pytestconfig: pytest.Config) -> Callable[..., Learner]:
    """A learner of a tiny task, trained for a moment with what a strategy needs in the shared track."""
    from tiny_learners import learner

    seed = pytestconfig.getoption("training_seed")

    def of(kind: str, strategy: Strategy | None = None, member: int = 0) -> Learner:
        return learner(tiny_task(kind), shared / "models", strategy, seed, member)

    return of


@pytest.fixture(scope="session")
def trials(tiny_task: Callable[[str], Task], trained: Callable[..., Learner]) -> Callable[[str, Strategy], Trial]:
    """A trial per task and training plan, trained once; the strategy is put in."""
    from tiny_learners import plan_of

    from lossbench.submissions.conformance import Trial

    kept: dict[tuple[str, str, int], tuple[Learner, ...]] = {}

    def of(kind: str, strategy: Strategy) -> Trial:
        task = tiny_task(kind)
        key = (kind, repr(plan_of(strategy)), strategy.committee_size)
        if key not in kept:
            kept[key] = tuple(trained(kind, strategy, member) for member in range(strategy.committee_size))
        return Trial(task, strategy, kept[key])

    return of


@pytest.fixture
def lossbench_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Calls a command in this process and gives what it printed."""
    from lossbench.cli.main import main

    def call(*words: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["lossbench", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return Result(int(end.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a test starts; none outlives it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for each in processes:
        each.kill()
        each.wait()
        for pipe in (each.stdout, each.stderr):
            if pipe is not None:
                pipe.close()
