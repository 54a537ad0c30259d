"""What a call of the command line gives."""

from __future__ import annotations

from typing import NamedTuple


class Result(NamedTuple):
    """Of one call."""

    code: int
    output: str
    errors: str


def the_line(result: Result) -> str:
    """What a fault that the user can mend says: one line on standard error, exit code 2."""
    assert result.code == 2, result.errors
    (line,) = result.errors.splitlines()
    start, rest = line[:11], line[11:]
    assert start == "lossbench: "
    return rest
