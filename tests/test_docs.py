"""The documents say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaderboard.board import Board
from leaderboard.export import pictures
from leaderboard.pictures import save
from leaderboard.published import read_published
from leaderboard.records import read_record
from leaderboard.sections import Section
from leaderboard.tables import number
from strategies import STRATEGIES

ROOT = Path(__file__).parents[1]
STRATEGIES_PAGE = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")
PICTURES = ROOT / "docs/reproduction"
REPRODUCTION = (ROOT / "docs/reproduction.md").read_text(encoding="utf-8")


def test_the_table_of_strategies_is_that_of_the_code() -> None:
    section, _, _ = STRATEGIES_PAGE.partition("## How they read detection and pose")
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    known = [(each.name, each.paper, each.kind, each().needs, each.cost) for each in STRATEGIES]
    assert rows[1:] == known, "run `lossbench strategies` and mend docs/strategies.md"


def test_every_strategy_has_its_reading_of_several_rows() -> None:
    _, _, readings = STRATEGIES_PAGE.partition("## How they read detection and pose")
    named = set(
        re.findall(
            r"[a-z][a-z-]+[a-z]",
            "".join(line.split("|")[1] for line in readings.partition("\n## ")[0].splitlines() if "|" in line),
        )
    )
    missing = {each.name for each in STRATEGIES} - named - {"random"}
    assert {each for each in missing if not each.startswith("alfa-mix-")} == set()


def board(task: str) -> tuple[Board, Section]:
    """The newest protocol of one task, on the shared track."""
    records = [read_record(path) for path in sorted((ROOT / "leaderboard/records" / task).glob("*-shared-*.json"))]
    found = Board(records, published=read_published())
    return found, max(found.sections, key=lambda each: each.key.protocol)


def board_table(task: str) -> list[str]:
    """Its standings, as docs/reproduction.md shows them."""
    _, section = board(task)
    lines = [
        "| strategy | seeds | area | last score | against random | ranking accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for each in section.standings:
        area, gain = each.area, each.to_baseline
        spread = f" ± {(area.upper - area.lower) / 2:.4f}" if each.seeds > 1 else ""
        paired = number(gain.mean, 4, sign=True)
        paired += f" ± {(gain.upper - gain.lower) / 2:.4f}" if gain.lower == gain.lower else ""
        lines.append(
            f"| {each.strategy} | {each.seeds} | {area.mean:.4f}{spread} | {each.last.mean:.4f} | {paired} "
            f"| {each.ranking.mean:.3f} |"
        )
    return lines


@pytest.mark.parametrize("task", re.findall(r"<!-- board: ([a-z0-9-]+);", REPRODUCTION))
def test_the_boards_of_the_reproduction_are_those_of_the_records(task: str) -> None:
    _, _, after = REPRODUCTION.partition(f"<!-- board: {task};")
    shown = [line for line in after.split("\n\n")[0].splitlines()[1:] if line.startswith("|")]
    wanted = board_table(task)
    assert shown == wanted, "write into docs/reproduction.md:\n" + "\n".join(wanted)


@pytest.mark.parametrize("task", re.findall(r"\(reproduction/([a-z0-9-]+)\.svg\)", REPRODUCTION))
def test_the_pictures_of_the_reproduction_are_those_of_the_records(task: str, tmp_path: Path) -> None:
    drawn = save(dict(pictures(*board(task)))["gains"], tmp_path / "gains.svg")
    wanted, shown = (re.findall('aria-label="[^"]+"', path.read_text()) for path in (drawn, PICTURES / f"{task}.svg"))
    assert len(wanted) > 10
    assert shown == wanted, f"copy {task}-…-gains.svg of `lossbench export` to docs/reproduction/{task}.svg"
