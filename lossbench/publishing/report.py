"""The end of a sweep: tables, a picture of the learning curves, and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from leaderboard.charts.pictures import curves_png
from leaderboard.schema.published import read_published
from leaderboard.schema.records import Record, read_record
from leaderboard.scoring.board import Board
from leaderboard.scoring.contrasts import Plan
from leaderboard.scoring.entries import FULL_POOL
from leaderboard.scoring.survey import survey
from leaderboard.site.links import record_link
from leaderboard.site.page import build_page
from leaderboard.site.tables import task_tables
from lossbench.publishing.boards import about_strategies, about_strategy, drawing_code
from lossbench.publishing.sheets import examples, sheet
from lossbench.words import plural
from strategies import Strategy


def report(
    paths: Sequence[Path], comparisons: Sequence[Plan], out: Path, console: Console, outside: Sequence[Strategy] = ()
) -> None:
    """Show what a sweep made: its tables, its learning curves, and a page of all records of its protocols.

    Args:
        paths: of the sweep's records.
        comparisons: planned by the sweep.
        out: the folder that has the records in its folder `records`, and gets the picture and the page.
        console: where to print.
        outside: strategies of the sweep that are not Lossbench's.
    """
    records = [read_record(path) for path in paths]
    for table in task_tables(records):
        console.print(table)
    full_pool = [record for record in records if record.strategy == FULL_POOL]
    for record in full_pool:
        score = f"{record.metric.name} {record.score[-1]:.4g} with all {record.rounds[-1].labeled:,} labels"
        _print(console, f"{record.protocol}, {record.track}, seed {record.seed}: {score}")
    if len(full_pool) == len(records):
        return  # a single model has no curve
    picture = out / "curves.png"
    curves_png(records, picture)
    _print(console, f"Curves: {picture}")
    _write_page(records, comparisons, out, console, outside)


def _write_page(
    records: Sequence[Record], comparisons: Sequence[Plan], out: Path, console: Console, outside: Sequence[Strategy]
) -> None:
    """Build the page in `out` from the records there of these protocols, and say what it shows."""
    surveys = [survey(out / "records" / name) for name in dict.fromkeys(record.protocol for record in records)]
    recorded = [record for surveyed in surveys for record in surveyed.records]
    damages = [line for surveyed in surveys for line in surveyed.damages]
    strategies = {strategy.name: about_strategy(strategy) for strategy in outside} | about_strategies()
    board = Board(
        recorded,
        strategies,
        comparisons,
        published=read_published(),
        damages=damages,
        sheet=sheet,
        examples=examples,
        code=drawing_code(),
    )
    if not board.sections:
        _print(console, "No page, as it shows complete runs on test images alone.")
        return
    folder = out / "page"
    before = {path.relative_to(folder).as_posix() for path in folder.glob("records/*/*.json")}
    index = build_page(board, folder)
    shown = [record for section in board.sections for record in section.records]
    lost = before - {record_link(record) for record in shown}
    _print(console, *(f"left out: {line}" for line in damages))
    _print(console, f"Page:   {index.resolve().as_uri()}", f"The page shows {_contents(shown)}.")
    if lost:
        everything = f"lossbench leaderboard build {out / 'records'} --out {folder}"
        _print(console, f"It no longer shows {plural(len(lost), 'run')} of before. To show all: {everything}")


def _contents(records: Sequence[Record]) -> str:
    names, protocols, seeds = (
        len({getattr(record, field) for record in records}) for field in ("strategy", "protocol", "seed")
    )
    runs, strategies = plural(len(records), "run"), plural(names, "strategy", "strategies")
    return f"{runs}: {strategies} on {plural(protocols, 'protocol')}, {plural(seeds, 'seed')}"


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
