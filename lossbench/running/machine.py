"""What a run was made on."""

from __future__ import annotations

import platform
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

HIGH_WATER_RESET = Path("/proc/self/clear_refs")


def check_device(name: str) -> None:
    """Raise a ConfigError unless this machine has the device."""
    known = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    if name.partition(":")[0] not in known:
        msg = f"no device {name!r} on this machine; use --device {' or '.join(known)}"
        raise ConfigError(msg)


def describe(device: torch.device) -> Machine:
    """The machine that this process runs on."""
    on_cuda = device.type == "cuda"
    return Machine(
        processor=_processor(),
        device=torch.cuda.get_device_name(device) if on_cuda else device.type,
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
    """The most memory that this process has held since the last reset; on CUDA, that its tensors held on the device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def reset_peak_memory(device: torch.device) -> None:
    """Begin to measure the peak anew, where the system can: on CUDA and on Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif HIGH_WATER_RESET.exists():
        HIGH_WATER_RESET.write_text("5", encoding="ascii")  # proc(5), clear_refs


@contextmanager
def memory_growth(device: torch.device) -> Iterator[list[float]]:
    """A list that holds, after the block, by how many mebibytes memory grew in it at most.

    On CUDA of the device's tensors; else of the process, whose high-water mark Linux resets on request (elsewhere the
    list stays empty).
    """
    grown: list[float] = []
    reset_peak_memory(device)
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device) / 2**20
        yield grown
        grown.append(torch.cuda.max_memory_allocated(device) / 2**20 - before)
    elif HIGH_WATER_RESET.exists():
        before = _high_water_mebibytes()
        yield grown
        grown.append(_high_water_mebibytes() - before)
    else:
        yield grown


def _high_water_mebibytes() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))


@cache
def commit() -> str:
    """The commit of this checkout when first asked, with `+changes` where files differ from it; `unknown` outside of one.

    Asked as a process starts: a commit made while it runs is not the code that it has loaded.
    """
    root = Path(__file__).parents[2]
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
        changes = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if changes.stdout.strip() else "")
