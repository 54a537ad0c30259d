"""`lossbench run` in processes of their own, for tests that kill or stop it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sample_configs import TASK

COMMAND = [sys.executable, "-c", "from lossbench.cli.entry import main; main()", "run"]
SECONDS = 240
"""How long a command may take on a busy machine."""
ROUNDS = 6
LONG_TASK = TASK.replace("step = 6, rounds = 3", f"step = 4, rounds = {ROUNDS}").replace("epochs = 1", "epochs = 4")
"""A protocol whose runs last long enough to be interrupted."""


def start(*words: str | Path) -> subprocess.Popen[str]:
    """A command `run` with these words after it."""
    command = [*COMMAND, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until something is so, while a process runs."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, f"it ended first: {process.stdout.read()}"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


def ended(process: subprocess.Popen[str]) -> str:
    """What a command printed, which ends well."""
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    return output
