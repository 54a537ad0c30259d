"""Where things lie: the folders of a command, and the configurations that travel with the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The folders and the device of a command."""

    data: Path
    """Holds the real data sets."""
    out: Path
    """Records in its folder `records`; `models` and `cache` hold what may be deleted at any time."""
    device: str = "cpu"


def shipped(name: str) -> Path:
    """A folder that travels with Lossbench, such as `configs`: inside the installed package, or beside it in a clone."""
    inside = Path(__file__).parent / name
    return inside if inside.is_dir() else Path(__file__).parents[1] / name
