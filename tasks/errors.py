"""The error that bad data raises, and checks that raise it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lossbench.errors import LossbenchError
from lossbench.files import MEBIBYTE, read_regular

LARGEST_LIST = 1024 * MEBIBYTE
"""The largest list or annotation file that is read. MPII's, of 22,000 persons, has 20 MiB."""


class DataError(LossbenchError):
    """Data that cannot be used. Its message is one line: what is wrong, in which file, and what to do.

    Args:
        fault: what is wrong, in which file.
        advice: what to do.
    """

    def __init__(self, fault: str, advice: str = "") -> None:
        super().__init__(f"{fault}; {advice}" if advice else fault)
        self.fault = fault


def require(condition: object, fault: str, advice: str = "") -> None:
    """Raise a DataError with this fault and advice unless the condition holds."""
    if not condition:
        raise DataError(fault, advice)


def require_path(path: Path, description: str, advice: str = "give the folder that holds it with --data DIR") -> Path:
    """Return the path if it exists; otherwise raise a DataError that names it.

    Args:
        path: a file or folder of a data set.
        description: what the path holds, as the start of the message: "the annotation file".
        advice: what to do. `lossbench pick` has no data folder.
    """
    require(path.exists(), f"{description} not found: {path}", advice)
    return path


def require_file(path: Path, description: str) -> Path:
    """Return the path if a regular file is there; otherwise raise a DataError that names it."""
    require(
        require_path(path, description).is_file(), f"{description} is no regular file: {path}", "put the file there"
    )
    return path


def read_data(path: Path, description: str) -> bytes:
    """The content of a list or an annotation file; a DataError if there is none, or if it cannot be read."""
    file = require_file(path, description)
    try:
        return read_regular(file, LARGEST_LIST)
    except (OSError, ValueError) as error:
        fault = f"{description} {path} cannot be read ({error})"
        raise DataError(fault, "put the file there again") from None


@contextmanager
def advising(advice: str | None) -> Iterator[None]:
    """Give a DataError of this block other advice, such as on a cache, which is not fetched but made again."""
    try:
        yield
    except DataError as error:
        raise DataError(error.fault, advice) if advice else error from None
