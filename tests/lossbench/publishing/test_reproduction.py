"""The tables and pictures of docs/reproduction.md are those of the records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rounding import same_text

from leaderboard.scoring.board import Board
from lossbench.publishing.boards import gather_board
from lossbench.publishing.reproduction import PICTURE, TABLE, draw_gains, table

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "docs/reproduction"
PAGE = (ROOT / "docs/reproduction.md").read_text(encoding="utf-8")
MEND = "run `lossbench leaderboard docs`"


@pytest.fixture(scope="module")
def board() -> Board:
    """All that was run."""
    return gather_board(ROOT / "leaderboard/records", ROOT / "configs/sweeps", ROOT / "leaderboard/submissions")


@pytest.mark.parametrize(
    "shown", [found[0] for found in TABLE.finditer(PAGE)], ids=lambda shown: shown.split(";")[0][5:]
)
def test_the_tables_are_those_of_the_records(shown: str, board: Board) -> None:
    found = TABLE.fullmatch(shown)
    assert found
    assert same_text("\n".join(shown.splitlines()[1:]), "\n".join(table(board, found[2]))), MEND


@pytest.mark.slow
@pytest.mark.parametrize("task", PICTURE.findall(PAGE))
def test_the_pictures_are_those_of_the_records(task: str, board: Board, tmp_path: Path) -> None:
    drawn = draw_gains(board, task, tmp_path / "gains.svg")
    wanted, shown = (re.findall('aria-label="[^"]+"', path.read_text()) for path in (drawn, PICTURES / f"{task}.svg"))
    assert len(wanted) > 10
    assert same_text("\n".join(shown), "\n".join(wanted)), MEND
