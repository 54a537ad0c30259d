"""What records become: tables, a picture, a page."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from leaderboard.charts.pictures import curves_png
from leaderboard.schema.badges import Badge, read_badge
from leaderboard.schema.published import read_published
from leaderboard.schema.records import RecordError, read_record
from leaderboard.scoring.board import About, Board
from leaderboard.scoring.contrasts import Plan
from leaderboard.scoring.entries import FULL_POOL
from leaderboard.scoring.survey import survey
from leaderboard.site.page import build_page
from leaderboard.site.tables import seed_line, task_tables
from lossbench.config import ConfigError, Protocol, Sweep, read_sweep
from lossbench.publishing.sheets import sheet
from lossbench.submissions.folder import RECORDS, Meta, submissions
from strategies import STRATEGIES, Strategy


def report(paths: Sequence[Path], comparisons: Sequence[Plan], out: Path, console: Console) -> None:
    """Show the records of a sweep, and the comparisons that it planned."""
    records = [read_record(path) for path in paths]
    for table in task_tables(records):
        console.print(table)
    whole = [record for record in records if record.strategy == FULL_POOL]
    for each in whole:
        score = f"{each.metric.name} {each.score[-1]:.4g} with all {each.rounds[-1].labeled:,} labels"
        console.print(f"{each.protocol}, {each.track}, seed {each.seed}: {score}", highlight=False)
    if len(whole) == len(records):
        return  # a single model has no curve
    picture = out / "curves.png"
    curves_png(records, picture)
    index = build_page(Board(records, known(), comparisons, read_published(), sheet=sheet), out / "page")
    places = f"Curves: {picture}\nPage:   {index.resolve().as_uri()}"
    console.print(places, soft_wrap=True, highlight=False, markup=False)
    console.print(seed_line([len({record.seed for record in records})]))


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
    return {each.name: about(each) for each in STRATEGIES}


def told(meta: Meta) -> About:
    """What the author of a submission says of it."""
    paper = meta.title if meta.paper == "none" else meta.paper
    return About(paper, meta.kind, meta.needs, meta.cost, meta.summary)


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
        found += planned(path.stem, *read_sweep(path))
    return found


def planned(name: str, sweep: Sweep, protocols: Sequence[Protocol]) -> list[Plan]:
    """The comparisons that a sweep named beforehand: one plan, or none."""
    if not sweep.contrasts or sweep.split != "test":
        return []
    numbers = tuple((each.name, each.version) for each in protocols)
    return [Plan(name, numbers, sweep.tracks, sweep.seeds, sweep.contrasts)]
