"""The memory of this process."""

from __future__ import annotations

from pathlib import Path


def resident_mebibytes() -> float:
    """What the system counts for it now, pages of files included."""
    return _mebibytes("VmRSS")


def peak_mebibytes() -> float:
    """The most that the system has counted for it since its start, or since the last reset of the peak."""
    return _mebibytes("VmHWM")


def _mebibytes(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith(name))
