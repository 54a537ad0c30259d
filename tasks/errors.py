"""The error that bad data raises, and two checks that raise it."""

from __future__ import annotations

from pathlib import Path

from lossbench.errors import LossbenchError


class DataError(LossbenchError):
    """Data that cannot be used. Its message is one line: what is wrong, in which file, and what to do."""


def require(condition: object, message: str) -> None:
    """Raise a DataError with this message unless the condition holds."""
    if not condition:
        raise DataError(message)


def require_path(path: Path, description: str) -> Path:
    """Return the path if it exists; otherwise raise a DataError that names it.

    Args:
        path: a file or folder of a data set.
        description: what the path holds, as the start of the message: "the annotation file".
    """
    require(path.exists(), f"{description} not found: {path}; give the folder that holds it with --data DIR")
    return path
