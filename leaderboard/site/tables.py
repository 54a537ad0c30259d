"""Tables of scores for the terminal, shown after a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from leaderboard.schema.records import Record
from leaderboard.scoring.entries import FEWEST_SEEDS, Key
from leaderboard.scoring.sections import Section, incomplete, sections

ABSENT = "\N{EN DASH}"
DECIMALS = 3
"""The largest number of decimal places in a table, so that it fits 80 columns. The site shows more."""
SMALLEST_P = 0.0001
MOST_COLUMNS = 6
"""The most label counts in a table; of more rounds some are left out, never the first or the last."""


def number(value: float, decimals: int, *, sign: bool = False) -> str:
    """Format a number with fixed decimals and a typographic minus sign; NaN becomes a dash.

    Args:
        value: the number.
        decimals: the decimal places.
        sign: whether a positive number gets a plus sign.
    """
    if math.isnan(value):
        return ABSENT
    return f"{value:{'+' if sign else ''}z,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def seconds(value: float) -> str:
    """Format seconds with about three significant digits."""
    return number(value, next((decimals for limit, decimals in ((1, 3), (10, 2), (100, 1)) if value < limit), 0))


def p_value(value: float) -> str:
    """Format a p-value with four decimals; a smaller one is said to be smaller, and none is 0."""
    return f"< {SMALLEST_P}" if value < SMALLEST_P else number(value, 4)


def rough_seconds(value: float) -> str:
    """Format seconds with two significant digits, from 100 on as a whole number."""
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"  # noqa: PLR2004 - no exponents


def seed_line(counts: Sequence[int]) -> str:
    """A sentence with the number of seeds per strategy and, below five, that they are too few for a ranking.

    Args:
        counts: the number of seeds of every strategy.
    """
    fewest, most = min(counts), max(counts)
    amount = f"{fewest} seed{'s' if fewest > 1 else ''}" if fewest == most else f"{fewest} to {most} seeds"
    if fewest >= FEWEST_SEEDS:
        return f"{amount}."
    if most >= FEWEST_SEEDS:
        return f"{amount} per strategy; fewer than {FEWEST_SEEDS} are too few for a sound ranking."
    return f"{amount} {'is' if most == 1 else 'are'} too few for a sound ranking."


def ranked_seeds(section: Section) -> list[int]:
    """The number of seeds of every ranked strategy; of every one, if none is ranked."""
    return [standing.seeds for standing in section.standings if standing.rank or not section.ranked]


def task_tables(records: Sequence[Record]) -> list[Table]:
    """A table per section: a row per strategy, a column per label count, means over the seeds."""
    partial = incomplete(records)
    return [
        _task_table(section, sum(Key.of(record) == section.key for record in partial)) for section in sections(records)
    ]


def _task_table(section: Section, incomplete_runs: int) -> Table:
    caption = seed_line(ranked_seeds(section))
    if incomplete_runs:
        caption += f" {incomplete_runs} incomplete run{'s' if incomplete_runs > 1 else ''} left out."
    decimals = min(section.decimals, DECIMALS)
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=Text(f"{section.title} · {section.metric_title} by labels"),
        caption=caption,
    )
    table.add_column("strategy", no_wrap=True)
    shown = _evenly_spaced(len(section.labels), MOST_COLUMNS)
    counts = [f"{section.labels[place]:,}" for place in shown]
    for heading in [*counts, "area", "ranking accuracy", "select s/round"]:
        table.add_column(heading, justify="right")
    for standing in section.standings:
        points = section.by_name[standing.strategy].points
        cells = [number(points[place].score.mean, decimals) for place in shown]
        cells += [number(standing.area.mean, decimals), number(standing.ranking.mean, 3)]
        table.add_row(Text(standing.strategy), *cells, seconds(standing.costs.select))
    return table


def _evenly_spaced(count: int, most: int) -> list[int]:
    """At most this many of the places 0 to count - 1, the first and the last among them."""
    if count <= most:
        return [*range(count)]
    return [round(step * (count - 1) / (most - 1)) for step in range(most)]
