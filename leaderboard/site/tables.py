"""Tables: the page's numbers for the terminal, at the end of a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from leaderboard.schema.records import Record
from leaderboard.scoring.entries import Key
from leaderboard.scoring.sections import Section, incomplete, sections

ABSENT = "\N{EN DASH}"
DECIMALS = 3
"""As many as a terminal of 80 columns has room for; the page has more."""
FEWEST_SEEDS = 5
"""Below this number a table says that it ranks nothing."""


def number(value: float, decimals: int, *, sign: bool = False) -> str:
    """A number for people: fixed decimals, a true minus, a dash where there is none."""
    if math.isnan(value):
        return ABSENT
    return f"{value:{'+' if sign else ''}z,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def seconds(value: float) -> str:
    """Seconds at about three digits."""
    return number(value, next((places for limit, places in ((1, 3), (10, 2), (100, 1)) if value < limit), 0))


def seed_line(counts: Sequence[int]) -> str:
    """How many seeds a table rests on and, below five, what that cannot show."""
    fewest, most = min(counts), max(counts)
    amount = f"{fewest} seed{'s' if fewest > 1 else ''}" if fewest == most else f"{fewest} to {most} seeds"
    if fewest >= FEWEST_SEEDS:
        return f"{amount}."
    if most >= FEWEST_SEEDS:
        return f"{amount} a strategy; fewer than {FEWEST_SEEDS} show that it runs, not who wins."
    return f"{amount} show{'s' if most == 1 else ''} that it runs, not who wins."


def task_tables(records: Sequence[Record]) -> list[Table]:
    """A table per task protocol, track and split: strategies by label counts, means over the seeds."""
    left_out = incomplete(records)
    return [
        _task_table(section, sum(Key.of(record) == section.key for record in left_out)) for section in sections(records)
    ]


def _task_table(section: Section, left_out: int) -> Table:
    caption = seed_line([standing.seeds for standing in section.standings])
    if left_out:
        caption += f" {left_out} incomplete run{'s' if left_out > 1 else ''} left out."
    decimals = min(section.decimals, DECIMALS)
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=Text(f"{section.title} · {section.metric_title} by labels"),
        caption=caption,
    )
    table.add_column("strategy", no_wrap=True)
    for heading in [*(f"{labeled:,}" for labeled in section.labels), "area", "ranking accuracy", "select s/round"]:
        table.add_column(heading, justify="right")
    for standing in section.standings:
        points = section.by_name[standing.strategy].points
        cells = [number(point.score.mean, decimals) for point in points]
        cells += [number(standing.area.mean, decimals), number(standing.ranking.mean, 3)]
        table.add_row(Text(standing.strategy), *cells, seconds(standing.costs.select))
    return table
