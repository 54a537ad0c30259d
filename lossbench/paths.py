"""The folders of a command and those that are installed with the package."""

from __future__ import annotations

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


def shipped(name: str) -> Path:
    """The path of a folder that is part of Lossbench, such as `configs`.

    An installation holds it inside the package, a clone beside the package.
    """
    installed = Path(__file__).parent / name
    return installed if installed.is_dir() else Path(__file__).parents[1] / name
