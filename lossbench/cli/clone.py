"""Files and folders of the clone of Lossbench that the working directory lies in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lossbench.errors import LossbenchError

SUBMISSIONS = "leaderboard/submissions"
"""Of a clone."""


def in_clone(name: str, remedy: str) -> Path:
    """A file or folder of the clone that the working directory lies in.

    Args:
        name: its path in the clone, such as `leaderboard/records`.
        remedy: what to do outside of a clone.

    Raises:
        LossbenchError: the working directory lies in no clone.
    """
    for place in places_in_clone(name):
        return place
    msg = f"no {name} here, as this folder is no clone of Lossbench; {remedy}"
    raise LossbenchError(msg)


def places_in_clone(name: str) -> Iterator[Path]:
    """The places of this name in the working directory and above it."""
    for folder in (Path(), *Path.cwd().parents):
        if (folder / name).exists():
            yield folder / name
