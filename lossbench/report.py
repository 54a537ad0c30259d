"""What a sweep ends with: tables, a picture, a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from leaderboard.charts import curves_png
from leaderboard.page import build_page
from leaderboard.records import read_record
from leaderboard.tables import seed_line, task_tables


def report(paths: Sequence[Path], out: Path, console: Console) -> None:
    """Show the records of a sweep."""
    records = [read_record(path) for path in paths]
    for table in task_tables(records):
        console.print(table)
    picture = out / "curves.png"
    curves_png(records, picture)
    index = build_page(records, out / "page")
    places = f"Curves: {picture}\nPage:   {index.resolve().as_uri()}"
    console.print(places, soft_wrap=True, highlight=False, markup=False)
    console.print(seed_line([len({record.seed for record in records})]))
