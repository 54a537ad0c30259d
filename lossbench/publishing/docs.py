"""Writes the parts of the documents that are made from records and from the strategies' files."""

from __future__ import annotations

import re
from pathlib import Path

from leaderboard.schema.records import write_whole
from leaderboard.scoring.board import Board
from lossbench.publishing.boards import gather_board
from lossbench.publishing.reproduction import TABLE, markdown, rewrite_reproduction, with_tables
from lossbench.publishing.summary import learning_curves, summary
from lossbench.publishing.worth import worth
from strategies import STRATEGIES

README, README_PICTURE, STRATEGIES_PAGE = "README.md", "docs/pictures/learning-curves.svg", "docs/strategies.md"
README_TABLES = {"summary": summary, "worth": worth}
"""The functions that make the tables of the README, by the names in their markers."""
STRATEGIES_TABLE = re.compile(r"(?<=<!-- strategies -->\n).*?(?=<!-- end -->)", re.DOTALL)
"""What lies between the markers."""


def rewrite_docs(root: Path) -> list[Path]:
    """Rewrite the generated parts of the documents in a clone, and give the paths of the files.

    Args:
        root: the folder of the clone.
    """
    board = gather_board(root / "leaderboard/records", root / "configs/sweeps", root / "leaderboard/submissions")
    page = root / STRATEGIES_PAGE
    write_whole(page, with_tables(board, with_strategies(page.read_text(encoding="utf-8"))))
    return [*_rewrite_readme(board, root), page, *rewrite_reproduction(board, root)]


def _rewrite_readme(board: Board, root: Path) -> list[Path]:
    path, picture = root / README, root / README_PICTURE
    text = path.read_text(encoding="utf-8")
    write_whole(path, with_summary(board, text))
    return [path, learning_curves(board, summarized(text), picture)]


def summarized(readme: str) -> list[str]:
    """The protocols that the README compares strategies on, from the marker of its summary."""
    (protocols,) = (words for name, *words in _calls(readme) if name == "summary")
    return protocols


def with_summary(board: Board, readme: str) -> str:
    """The README with the tables of these records."""

    def lines(found: re.Match[str]) -> str:
        name, *protocols = found[2].split()
        return "\n".join([found[1], *markdown(README_TABLES[name](board, *protocols))])

    return TABLE.sub(lines, readme)


def _calls(readme: str) -> list[list[str]]:
    return [found[2].split() for found in TABLE.finditer(readme)]


def with_strategies(page: str) -> str:
    """The page on strategies with the table of those that are there now."""
    return STRATEGIES_TABLE.sub(lambda _: strategies_table(), page)


def strategies_table() -> str:
    """One row per strategy, as Markdown."""
    rows = [(each.name, each.paper, each.kind, each().needs, each.cost) for each in STRATEGIES]
    return "".join(f"{line}\n" for line in markdown([("strategy", "paper", "kind", "needs", "cost"), *rows]))
