"""What records become: tables, a picture, a page."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from leaderboard.charts.pictures import curves_png
from leaderboard.schema.badges import Badge, read_badge
from leaderboard.schema.published import read_published
from leaderboard.schema.records import Record, RecordError, read_record
from leaderboard.scoring.board import UNKNOWN, About, Board
from leaderboard.scoring.contrasts import Plan
from leaderboard.scoring.entries import FULL_POOL
from leaderboard.scoring.survey import survey
from leaderboard.site.page import build_page, record_link
from leaderboard.site.tables import seed_line, task_tables
from lossbench.config import ConfigError, Protocol, Sweep, read_sweep
from lossbench.publishing.sheets import sheet
from lossbench.submissions.folder import RECORDS, Meta, submissions
from lossbench.words import plural
from strategies import STRATEGIES, Strategy


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
    for each in records:
        if each.strategy == FULL_POOL:
            score = f"{each.metric.name} {each.score[-1]:.4g} with all {each.rounds[-1].labeled:,} labels"
            _say(console, f"{each.protocol}, {each.track}, seed {each.seed}: {score}")
    if all(each.strategy == FULL_POOL for each in records):
        return  # a single model has no curve
    picture = out / "curves.png"
    curves_png(records, picture)
    _say(console, f"Curves: {picture}")
    _write_page(records, comparisons, out, console, outside)
    _say(console, seed_line([len({record.seed for record in records})]))


def _write_page(
    records: Sequence[Record], comparisons: Sequence[Plan], out: Path, console: Console, outside: Sequence[Strategy]
) -> None:
    """Build the page in `out` from the records there of these protocols, and say what it shows."""
    found: list[Record] = []
    damages: list[str] = []
    for name in dict.fromkeys(record.protocol for record in records):
        own = survey(out / "records" / name)
        found += own.records
        damages += own.damages
    given = {each.name: about(each) for each in outside} | known()
    board = Board(found, given, comparisons, read_published(), damages=damages, sheet=sheet)
    if not board.sections:
        _say(console, "No page, as it shows complete runs on test images alone.")
        return
    folder = out / "page"
    before = {path.relative_to(folder).as_posix() for path in folder.glob("records/*/*.json")}
    index = build_page(board, folder)
    shown = [record for section in board.sections for record in section.records]
    lost = before - {record_link(record) for record in shown}
    _say(console, *(f"left out: {line}" for line in damages))
    _say(console, f"Page:   {index.resolve().as_uri()}", f"The page shows {_contents(shown)}.")
    if lost:
        everything = f"lossbench leaderboard build {out / 'records'} --out {folder}"
        _say(console, f"It no longer shows {plural(len(lost), 'run')} of before. To show all: {everything}")


def _contents(records: Sequence[Record]) -> str:
    names, protocols, seeds = (
        len({getattr(record, field) for record in records}) for field in ("strategy", "protocol", "seed")
    )
    runs, strategies = plural(len(records), "run"), plural(names, "strategy", "strategies")
    return f"{runs}: {strategies} on {plural(protocols, 'protocol')}, {plural(seeds, 'seed')}"


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def gathered(records: Path, sweeps: Path, submitted: Path) -> Board:
    """The board of a folder of records and of a folder of submissions, with the comparisons that sweeps planned.

    Raises:
        RecordError: there is no record.
        ConfigError: there is no such folder of sweeps.
    """
    entries, damages = submissions(submitted)
    found = survey(records, {entry.folder / RECORDS: entry.meta.name for entry in entries})
    if not found.records:
        msg = f"no sound records below {records}; make some with `lossbench run`"
        raise RecordError("; ".join([msg, *found.damages[:1]]))
    given = {entry.meta.name: told(entry.meta) for entry in entries}
    badges = {}
    for entry in entries:
        try:
            badges[entry.meta.name] = read_badge(entry.folder)
        except (RecordError, OSError, ValueError) as error:
            badges[entry.meta.name] = Badge(state="failed", faults=(str(error),))
    damages += found.damages
    return Board(found.records, given | known(), plans(sweeps), read_published(), badges, damages, sheet)


def known() -> dict[str, About]:
    """What the repository's own strategies say of themselves."""
    return {each.name: about(each()) for each in STRATEGIES}


def told(meta: Meta) -> About:
    """What the author of a submission says of it."""
    paper = meta.title if meta.paper == "none" else meta.paper
    return About(paper, meta.kind, meta.needs, meta.cost, meta.summary)


def about(strategy: Strategy) -> About:
    """What a strategy says of itself."""
    summary = (inspect.getdoc(type(strategy)) or "").partition("\n")[0]
    paper = getattr(strategy, "paper", UNKNOWN.paper)
    return About(paper, strategy.kind, strategy.needs, strategy.cost, summary)


def plans(folder: Path) -> list[Plan]:
    """The comparisons that the sweeps of a folder named beforehand."""
    if not folder.is_dir():
        msg = f"no folder of sweeps {folder}; name it with --sweeps"
        raise ConfigError(msg)
    found = []
    for path in sorted(folder.glob("*.toml")):
        found += planned(path.stem, *read_sweep(path))
    return found


def planned(name: str, sweep: Sweep, protocols: Sequence[Protocol]) -> list[Plan]:
    """The comparisons that a sweep named beforehand: one plan, or none."""
    if not sweep.contrasts or sweep.split != "test":
        return []
    numbers = tuple((each.name, each.version) for each in protocols)
    return [Plan(name, numbers, sweep.tracks, sweep.seeds, sweep.contrasts)]
