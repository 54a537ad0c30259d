"""The machine and the code of a run, and the memory that a process uses."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from leaderboard.schema.records import Machine
from lossbench.config import ConfigError
from lossbench.words import plural
from tasks.training.processes.parallel import process_count

HIGH_WATER_RESET = Path("/proc/self/clear_refs")
"""On Linux, the text "5" written to this file resets the peak memory of the process (see proc(5))."""


def check_device(name: str) -> None:
    """Check that this machine has a device.

    Raises:
        ConfigError: it has no such device.
    """
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    available = ("cpu", "cuda") if cards else ("cpu",)
    if name not in {*available, *(f"cuda:{number}" for number in range(cards))}:
        msg = f"no device {name!r} on this machine; choose {' or '.join(available)}"
        raise ConfigError(msg)


def describe(device: torch.device) -> Machine:
    """The machine that runs this process, with the versions of Python and torch."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    count = process_count()
    return Machine(
        processor=_processor(),
        device=name if count == 1 else f"{name}, {plural(count, 'process', 'processes')}",
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        torch=torch.__version__,
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_memory_mebibytes(device: torch.device) -> float:
    """Peak memory since the last reset: of this process, or on CUDA of its tensors on the device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def reset_peak_memory(device: torch.device) -> None:
    """Reset the peak memory to the current memory, on CUDA and on Linux; elsewhere nothing happens."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif HIGH_WATER_RESET.exists():
        HIGH_WATER_RESET.write_text("5", encoding="ascii")


@contextmanager
def memory_growth(device: torch.device) -> Iterator[list[float]]:
    """Measure by how many mebibytes the peak memory in a block exceeds the memory before it.

    On CUDA this is the memory of tensors on the device, elsewhere that of the process. A process can only be measured on
    Linux, which can reset its peak.

    Yields:
        A list that holds the number after the block; it stays empty where it cannot be measured.
    """
    growth: list[float] = []
    reset_peak_memory(device)
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device) / 2**20
        yield growth
        growth.append(torch.cuda.max_memory_allocated(device) / 2**20 - before)
    elif HIGH_WATER_RESET.exists():
        before = _peak_process_mebibytes()
        yield growth
        growth.append(_peak_process_mebibytes() - before)
    else:
        yield growth


def _peak_process_mebibytes() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))


@cache
def commit() -> str:
    """The commit of this checkout, with `+changes` if tracked files differ from it.

    Outside of a checkout it is what the variable LOSSBENCH_COMMIT says, for copies of one; else `unknown`.

    The first call decides for the whole process. Call it when the process starts: a later commit is not the loaded code.
    """
    root = Path(__file__).resolve().parents[2]
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--show-toplevel", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
        top, head = found.stdout.splitlines()
        if Path(top).resolve() != root:
            return _told()  # an installation inside the checkout of another project
        changes = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, ValueError, subprocess.CalledProcessError):
        return _told()
    return head + ("+changes" if changes.stdout.strip() else "")


def _told() -> str:
    told = os.environ.get("LOSSBENCH_COMMIT", "")
    return told if re.fullmatch(r"[0-9a-f]{40}(\+changes)?", told) else "unknown"
