"""Strategies that end their process or never end: one line, an exit code other than 0, no hang, and nothing left at work."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hostile_cases.deadly_strategies import ENDLESS, ENDS, HARMLESS, HONEST, RAISES, code
from launching import Launcher
from sweeps import leftovers

from leaderboard.schema.records import read_record

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]  # a process of its own for each
SECONDS = 240
"""How long a command may take on a busy machine; what sleeps here sleeps longer."""
WORKERS = (1, 2)
Outcome = tuple[int, list[str]]


@pytest.fixture
def run(launcher: Launcher, warm: Path, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs a strategy's file on the tiny protocol; gives exit code and complaints."""

    def call(content: str, workers: int, then: Callable[[psutil.Process], object] = lambda _: None) -> Outcome:
        shutil.copytree(warm, tmp_path, dirs_exist_ok=True)
        (tmp_path / "mine.py").write_text(content, encoding="utf-8")
        words = ("--strategy", tmp_path / "mine.py", "--workers", workers, "--out", tmp_path / "out")
        process = launcher.called(tmp_path / "log", "run", tmp_path / "sweeps/tiny.toml", *words)
        then(process)
        deadline = time.monotonic() + SECONDS
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.status() == psutil.STATUS_ZOMBIE, "it hangs"
        result = launcher.code(), (tmp_path / "log.err").read_text(encoding="utf-8").splitlines()
        # A process that is ended at once leaves its lock, which the next start removes (test_locks.py).
        assert [path for path in leftovers(tmp_path / "out") if not path.endswith(".lock")] == []
        return result

    return call


def made(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.glob("out/records/*/*")) if read_record(path).complete]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("name", ENDS)
def test_an_end_of_its_process(name: str, workers: int, run: Callable[..., Outcome]) -> None:
    body, wanted = ENDS[name]
    status, lines = run(code(body), workers)
    assert status == 1
    assert wanted in lines[-1]
    assert all(line.startswith("lossbench: ") for line in lines)
    assert len(lines) == workers, "a worker's run is made once more, which is said"


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("name", ENDS)
def test_an_end_while_its_file_is_loaded(name: str, workers: int, run: Callable[..., Outcome]) -> None:
    body, wanted = ENDS[name]
    status, (line,) = run(code(HONEST, f"{body}\n"), workers)
    assert (status, wanted in line) == (1, True), line


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("name", RAISES)
def test_an_error(name: str, workers: int, run: Callable[..., Outcome]) -> None:
    body, wanted = RAISES[name]
    status, (line,) = run(code(body), workers)
    assert status == 2, line
    assert all(word in line for word in wanted), line
    assert line.isprintable()
    assert len(line) < 1000


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("name", HARMLESS)
def test_what_it_leaves_does_not_matter(name: str, workers: int, run: Callable[..., Outcome], tmp_path: Path) -> None:
    assert run(code(f"{HARMLESS[name]}\n        {HONEST}"), workers) == (0, [])
    assert "mine-shared-s0.json" in made(tmp_path)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends_can_be_stopped(name: str, workers: int, run: Callable[..., Outcome], tmp_path: Path) -> None:
    family: list[psutil.Process] = []

    def stop(process: psutil.Process) -> None:
        deadline = time.monotonic() + SECONDS
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        family.extend(process.children(recursive=True))
        process.terminate()

    mark = f"open({str(tmp_path / 'begun')!r}, 'w').close()"
    status, lines = run(code(f"{mark}\n        {ENDLESS[name]}"), workers, stop)
    assert status == 128 + signal.SIGTERM
    assert lines == [] or (len(lines) == 1 and lines[0].startswith("lossbench: stopped; finished rounds are kept"))
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
