"""A sweep with two workers, killed at random moments: nothing is lost, and every record is that of an undisturbed run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from launching import Launcher
from rounding import alike
from sample_configs import TASK, written
from sweeps import leftovers, timeless

KILLS = 50
SECONDS = 60  # how long one start may take on a busy machine
SWEEP = 'protocols = ["tiny"]\nstrategies = ["random", "entropy"]\nseeds = [0]\n'


def records(out: Path) -> dict[str, dict[str, Any]]:
    """All records below a folder, without clocks."""
    return {path.name: timeless(path) for path in sorted(out.glob("records/*/*.json"))}


def ended(process: psutil.Process) -> bool:
    """Whether a process has come to its end; its parent may not have asked for its exit code yet."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_until(moment: float, process: psutil.Process) -> bool:
    """Whether a process is still at work at a moment."""
    while time.monotonic() < moment and not ended(process):
        time.sleep(0.005)
    return not ended(process)


def workers_of(driver: psutil.Process, launcher: Launcher) -> list[psutil.Process]:
    """Children of the fork server: the workers of the only sweep that runs. They are waited for; none where it ends first."""
    (server,) = (each for each in psutil.Process(launcher.process.pid).children() if "forkserver" in each.cmdline()[-1])
    while not (found := server.children()) and not ended(driver):
        time.sleep(0.005)
    return found


@pytest.mark.slow  # fifty starts
def test_a_sweep_killed_at_random_moments_ends_in_the_same_records(launcher: Launcher, tmp_path: Path) -> None:
    sweep, chance = written(tmp_path, TASK, SWEEP), random.Random(18)
    for name in ("warming", "undisturbed"):  # the first waits for the fork server's imports
        began = time.time()
        launcher.started(sweep, tmp_path / name)
        assert launcher.code() == 0, (tmp_path / f"{name}.log.err").read_text()
    expected = records(tmp_path / "undisturbed")
    assert len(expected) == 2
    work = max(path.stat().st_mtime for path in tmp_path.glob("undisturbed/records/*/*.json")) - began

    kills = dict.fromkeys(("driver", "worker"), 0)
    lives = 0
    while sum(kills.values()) < KILLS:
        out = tmp_path / f"out{lives}"
        driver = launcher.started(sweep, out)
        for victim in chance.choice([("driver",), ("worker", "driver"), ("worker",)]):
            at_work = wait_until(time.monotonic() + chance.uniform(0, work), driver)
            targets = [driver] if victim == "driver" else workers_of(driver, launcher)
            if at_work and targets:
                chance.choice(targets).kill()
                kills[victim] += 1
        assert not wait_until(time.monotonic() + SECONDS, driver), f"it hangs: {kills}"
        if (code := launcher.code()) == -signal.SIGKILL:
            continue  # the next start goes on from there
        assert code == 0, out.with_suffix(".log.err").read_text()
        assert alike(records(out), expected)
        assert leftovers(out) == []
        lives += 1
    out = tmp_path / f"out{lives}"
    launcher.started(sweep, out)
    assert launcher.code() == 0
    assert alike(records(out), expected)
    assert leftovers(out) == []
    print(f"killed {kills}; {lives + 1} sweeps came to their end")
    assert min(kills.values()) >= KILLS / 5, kills
    assert lives >= 2, "it was to come to its end now and then"
