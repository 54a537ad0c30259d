"""Exports the site's tables as CSV files and its charts as pictures, for papers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import altair as alt
import pandas as pd

from leaderboard.charts.curves import curve_chart, seconds_chart
from leaderboard.charts.gains import gain_chart
from leaderboard.charts.marks import HEIGHT_PIXELS, initial_strategies
from leaderboard.charts.pareto import pareto_chart
from leaderboard.charts.penalties import penalty_chart
from leaderboard.charts.pictures import LEGEND_COLUMNS, WIDTH_PIXELS, drawable, save
from leaderboard.charts.styles import styles
from leaderboard.charts.variations import stress_chart
from leaderboard.schema.records import write_whole
from leaderboard.scoring.board import Board
from leaderboard.scoring.rows import tables
from leaderboard.scoring.sections import Section
from leaderboard.scoring.variations import variations, varied_strategies

FORMATS = ("svg", "png")


def write(board: Board, folder: Path) -> list[Path]:
    """Write all tables and charts of a board that are not empty into a folder.

    Returns:
        The paths of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, rows in tables(board).items():
        if rows:
            paths.append(folder / f"{name}.csv")
            write_whole(paths[-1], pd.DataFrame(rows).to_csv(index=False))
    for section in board.sections:
        stem = f"{section.key.protocol}-p{section.key.version}-{section.key.track}"
        for name, chart in pictures(board, section):
            paths += [save(chart, folder / f"{stem}-{name}.{suffix}") for suffix in FORMATS]
    return paths


def pictures(board: Board, section: Section) -> Iterator[tuple[str, alt.LayerChart]]:
    """The charts of a section, with their names.

    Charts of lines show the `initial_strategies` only, because more lines are hard to distinguish in print.
    """
    published = [source for same in (True, False) for source in board.published_for(section, same_protocol=same)]
    reduced = section.only(initial_strategies(section))
    style_of = styles(reduced.by_name)
    size = {"width": 2 * WIDTH_PIXELS, "height": HEIGHT_PIXELS}
    yield "curves", drawable(curve_chart(reduced, style_of, legend_columns=LEGEND_COLUMNS)).properties(**size)
    if gains := gain_chart(reduced, style_of, published, legend_columns=LEGEND_COLUMNS):
        yield "gains", drawable(gains).properties(**size)
    yield "seconds", drawable(seconds_chart(reduced, style_of, legend_columns=LEGEND_COLUMNS)).properties(**size)
    if columns := variations(board.sections, section):
        varied_styles = styles(varied_strategies(columns))
        stress = stress_chart(columns, varied_styles, legend_columns=LEGEND_COLUMNS)
        yield "stress", drawable(stress).properties(**size)
    if pareto := pareto_chart(section, styles(section.by_name), show_all=True):
        yield "gain-seconds", drawable(pareto).properties(**size)
    if section.has_penalties:
        yield "penalties", drawable(penalty_chart(section))
