"""Every kind of bad input ends in its one line with its exit code, soon, and leaves nothing half-written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result
from hostile_cases import everything
from hostile_cases.case import Case
from watchdog import watched

CASES = [
    pytest.param(
        case,
        id=f"{room}: {case.name}",
        marks=() if everything.fast(case) else (pytest.mark.slow, pytest.mark.exhaustive),
    )
    for room, cases in everything.CASES.items()
    for case in cases
]
LONGEST_LINE = 1000


def contents(folder: Path) -> dict[str, bytes]:
    """All regular files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def only_line(case: Case, result: Result) -> str:
    """The one line: on standard error, or the finding of a check on standard output."""
    if not case.printed:
        (line,) = result.errors.splitlines()
        assert line.startswith("lossbench: ")
        return line.removeprefix("lossbench: ")
    assert result.errors == ""
    lines = [line for line in result.output.splitlines() if all(word.lower() in line.lower() for word in case.wanted)]
    assert lines, result.output
    return lines[0]


@pytest.mark.parametrize("case", CASES)
def test_it_ends_in_one_line(
    case: Case,
    lossbench_cli: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if case.warm:
        shutil.copytree(request.getfixturevalue("warm"), tmp_path, dirs_exist_ok=True)
    case.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    with watched():
        result = lossbench_cli(*(word.format(tmp_path) for word in case.words))
    assert result.code == case.code, result
    line = only_line(case, result)
    assert all(word.lower() in line.lower() for word in case.wanted), line
    assert len(line) < LONGEST_LINE, len(line)
    after = contents(tmp_path)
    assert {path: after.get(path) for path in before} == before, "it changed what was there"
    assert not [
        path for path in after.keys() - before.keys() if not any(Path(path).match(each) for each in case.may_leave)
    ]
