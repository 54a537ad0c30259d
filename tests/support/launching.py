"""A process that starts commands in little time; see `tests/hostile/launcher.py`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Launcher:
    """A process that starts sweeps; see `launcher.py`."""

    process: subprocess.Popen[str]

    def asked(self, *words: str | Path) -> str:
        """The answer to one line."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def started(self, sweep: Path, out: Path) -> psutil.Process:
        """A process that runs a sweep."""
        return psutil.Process(int(self.asked("start", sweep, out)))

    def called(self, log: Path, *words: str | Path) -> psutil.Process:
        """A process that runs a command."""
        return psutil.Process(int(self.asked("call", log, *words)))

    def code(self) -> int:
        """The exit code of the process started last."""
        return int(self.asked("wait"))
