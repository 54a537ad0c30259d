"""The folders of a command and those that are installed with the package."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The folders and the device of a command."""

    data: Path
    """Folder of the real data sets."""
    out: Path
    """Folder of results: `records`, and `models` and `cache`, which may be deleted at any time."""
    device: str = "cpu"
    """Name of a torch device."""
    scratch: Path | None = None
    """Folder of `models` and `cache`, where that is another than `out`."""

    @property
    def models(self) -> Path:
        """Folder of trained weights."""
        return (self.scratch or self.out) / "models"

    @property
    def cache(self) -> Path:
        """Folder of what is computed from data."""
        return (self.scratch or self.out) / "cache"


def write_fault(folder: Path) -> str:
    """Why nothing can be written into a folder, which need not exist, and what to do; empty if something can."""
    nearest = next((place for place in (folder, *folder.absolute().parents) if place.exists()), folder)
    if not nearest.is_dir():
        return f"{nearest} is a file where a folder is needed; give another folder, or move the file away"
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"{nearest} may not be written; give another folder, or change its permissions"
    return ""


def shipped(name: str) -> Path:
    """The path of a folder that is part of Lossbench, such as `configs`.

    An installation holds it inside the package, a clone beside the package.
    """
    installed = Path(__file__).parent / name
    return installed if installed.is_dir() else Path(__file__).parents[1] / name
