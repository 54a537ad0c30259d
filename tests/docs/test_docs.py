"""The documents say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rounding import same_text

from leaderboard.scoring.board import Board
from lossbench.publishing.boards import gather_board
from lossbench.publishing.docs import README_PICTURE, strategies_table, summarized, with_strategies, with_summary
from lossbench.publishing.reproduction import with_tables
from lossbench.publishing.summary import learning_curves
from lossbench.publishing.worth import worth
from strategies import STRATEGIES
from tasks.kinds import known_kinds

ROOT = Path(__file__).parents[2]
STRATEGIES_PAGE = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")


def test_the_table_of_strategies_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| .+ \|$", strategies_table(), re.MULTILINE)
    assert len(rows) == 1 + len(STRATEGIES), "the header, and a row per strategy"
    assert f"<!-- strategies -->\n{strategies_table()}<!-- end -->" in STRATEGIES_PAGE, (
        "run `lossbench leaderboard docs`"
    )


def test_the_table_of_strategies_is_written_anew() -> None:
    changed = STRATEGIES_PAGE.replace("| random | baseline |", "| randomly | basis |")
    assert changed != STRATEGIES_PAGE
    assert with_strategies(changed) == STRATEGIES_PAGE


@pytest.fixture(scope="module")
def board() -> Board:
    """All committed records."""
    return gather_board(ROOT / "leaderboard/records", ROOT / "configs/sweeps", ROOT / "leaderboard/submissions")


@pytest.mark.slow  # it reads and compares every record
def test_what_is_worth_its_cost_is_that_of_the_records(board: Board) -> None:
    assert same_text(with_tables(board, STRATEGIES_PAGE), STRATEGIES_PAGE), "run `lossbench leaderboard docs`"
    rows = worth(board)
    assert {len(row) for row in rows} == {4}
    assert {"cifar10-mini", "voc2007-mini", "lspet-mini"} <= {row[0] for row in rows}


@pytest.mark.slow  # it reads and compares every record
def test_the_summary_of_the_readme_is_that_of_the_records(board: Board, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert same_text(with_summary(board, readme), readme), "run `lossbench leaderboard docs`"
    drawn = learning_curves(board, summarized(readme), tmp_path / "curves.svg")
    wanted, shown = (re.findall('aria-label="[^"]+"', path.read_text()) for path in (drawn, ROOT / README_PICTURE))
    assert len(wanted) > 10
    assert same_text("\n".join(shown), "\n".join(wanted)), "run `lossbench leaderboard docs`"


def test_every_strategy_has_its_reading_of_several_rows() -> None:
    _, _, readings = STRATEGIES_PAGE.partition("## How they read detection, pose and segmentation")
    named = set(
        re.findall(
            r"[a-z][a-z0-9-]+[a-z]",
            "".join(line.split("|")[1] for line in readings.partition("\n## ")[0].splitlines() if "|" in line),
        )
    )
    missing = {each.name for each in STRATEGIES} - named - {"random"}
    assert {each for each in missing if not each.startswith("alfa-mix-")} == set()


def test_the_architecture_says_what_goes_into_every_subpackage() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").partition("## Where things go")[2]
    table = page.partition("\n## ")[0]
    packages = ("tasks", "strategies", "leaderboard", "lossbench", "lossnet")
    folders = {str(path.parent.relative_to(ROOT)) for each in packages for path in ROOT.glob(f"{each}/**/__init__.py")}
    kinds = {f"tasks/{kind.name}" for kind in known_kinds()}
    missing = {each for each in folders - kinds - {"tasks", "leaderboard", "lossbench"} if f"`{each}/" not in table}
    assert missing == set()
