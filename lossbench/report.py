"""What records become: tables, a picture, a page."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from leaderboard.board import About, Board
from leaderboard.contrasts import Plan
from leaderboard.page import build_page
from leaderboard.pictures import curves_png
from leaderboard.published import read_published
from leaderboard.records import Record, RecordError, read_record
from leaderboard.survey import survey
from leaderboard.tables import seed_line, task_tables
from lossbench.config import ConfigError, read_sweep
from lossbench.sheets import sheet
from strategies import STRATEGIES, Strategy


def report(paths: Sequence[Path], out: Path, console: Console) -> None:
    """Show the records of a sweep."""
    records = [read_record(path) for path in paths]
    for table in task_tables(records):
        console.print(table)
    picture = out / "curves.png"
    curves_png(records, picture)
    index = build_page(board(records), out / "page")
    places = f"Curves: {picture}\nPage:   {index.resolve().as_uri()}"
    console.print(places, soft_wrap=True, highlight=False, markup=False)
    console.print(seed_line([len({record.seed for record in records})]))


def gathered(records: Path, sweeps: Path) -> Board:
    """The board of a folder of records, with the comparisons that a folder of sweeps planned.

    Raises:
        RecordError: there is no record.
        ConfigError: there is no such folder of sweeps.
    """
    found = survey(records)
    if not found.records:
        msg = f"no sound records below {records}; make some with `lossbench run`"
        raise RecordError("; ".join([msg, *found.damages[:1]]))
    return board(found.records, plans(sweeps), found.damages)


def board(records: Sequence[Record], planned: Sequence[Plan] = (), damages: Sequence[str] = ()) -> Board:
    """Records with what the repository knows of their strategies."""
    known = {each.name: about(each) for each in STRATEGIES}
    return Board(records, known, planned, read_published(), damages, sheet)


def about(strategy: type[Strategy]) -> About:
    """What a strategy says of itself."""
    summary = (inspect.getdoc(strategy) or "").partition("\n")[0]
    return About(strategy.paper, strategy.kind, strategy().needs, strategy.cost, summary)


def plans(folder: Path) -> list[Plan]:
    """The comparisons that the sweeps of a folder named beforehand."""
    if not folder.is_dir():
        msg = f"no folder of sweeps {folder}; name it with --sweeps"
        raise ConfigError(msg)
    found = []
    for path in sorted(folder.glob("*.toml")):
        sweep, _ = read_sweep(path)
        if sweep.contrasts:
            found.append(Plan(path.stem, sweep.tasks, sweep.tracks, sweep.contrasts))
    return found
