"""One case: an input, a command, and how the command must end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

USER_FAULT, FOUND_FAULTS = 2, 1
"""Exit codes: input that a command cannot use, and a check that finds faults."""
RUN = ("run", "sweeps/tiny.toml", "--workers", "1", "--out", "{}/out", "--data", "{}/data")


@dataclass(frozen=True)
class Case:
    """A kind of bad input."""

    name: str
    make: Callable[[Path], object]
    """Writes the input into the folder of the case, which is the working directory of the command."""
    words: tuple[str, ...]
    """The command; "{}" stands for the folder."""
    wanted: tuple[str, ...]
    """What the one line must contain, whatever its case."""
    code: int = USER_FAULT
    printed: bool = False
    """Whether the line is a finding of a check, on standard output, and standard error stays empty."""
    may_leave: tuple[str, ...] = ()
    """Patterns of whole files that the command may leave behind, such as rendered scenes."""
    warm: bool = False
    """Whether the scenes and models of the tiny protocol are there already."""


def nothing(folder: Path) -> None:
    """No input."""


def file(path: str, content: str | bytes) -> Callable[[Path], object]:
    """Writes one file."""

    def make(folder: Path) -> None:
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))

    return make


def files(contents: dict[str, str | bytes]) -> Callable[[Path], object]:
    """Writes several files."""

    def make(folder: Path) -> None:
        for path, content in contents.items():
            file(path, content)(folder)

    return make
