"""Pictures of charts: PNG and SVG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import altair as alt

from leaderboard.charts.curves import curve_chart
from leaderboard.charts.marks import HEIGHT_PIXELS, shown_first
from leaderboard.charts.styles import styles
from leaderboard.schema.records import Record, RecordError
from leaderboard.scoring.sections import Section, sections

WIDTH_PIXELS, SPACING_PIXELS = 340, 80
CHARTS_IN_A_ROW, LEGEND_COLUMNS = 3, 3


def section_chart(section: Section) -> alt.LayerChart:
    """The learning curves of one section, with the strategies that a chart begins with, and a legend."""
    few = section.only(shown_first(section))
    chart = curve_chart(few, styles(few.by_name), legend_columns=LEGEND_COLUMNS)
    return chart.properties(width=2 * WIDTH_PIXELS, height=HEIGHT_PIXELS, title=section.title)


def curves_picture(found: Sequence[Section], path: Path) -> Path:
    """Draw the learning curves of sections into one picture, side by side, each with the strategies that a chart begins with.

    The ending of the path names its form: png or svg.

    Raises:
        RecordError: there is nothing to draw.
    """
    if not found:
        msg = f"{path}: no complete record to draw; finish a run first"
        raise RecordError(msg)
    few = [section.only(shown_first(section)) for section in found]
    drawn = styles(name for section in few for name in section.by_name)
    in_a_row = min(len(found), CHARTS_IN_A_ROW)
    charts = [
        curve_chart(section, drawn, legend_columns=LEGEND_COLUMNS * in_a_row).properties(
            width=WIDTH_PIXELS, height=HEIGHT_PIXELS, title=section.title
        )
        for section in few
    ]
    whole = alt.concat(*charts, columns=in_a_row, spacing=SPACING_PIXELS, bounds="flush")
    return save(whole.resolve_scale(color="shared", strokeDash="shared", shape="shared"), path)


def curves_png(records: Sequence[Record], path: Path) -> Path:
    """Draw the learning curves of all sections of some records.

    Raises:
        RecordError: there is no complete record to draw.
    """
    return curves_picture(sections(records), path)


def save(chart: alt.LayerChart | alt.ConcatChart, path: Path) -> Path:
    """Write a chart as a picture, whole or not at all; the ending names its form."""
    chart = chart.configure_view(stroke=None)
    chart = chart.configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e6e6e6")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        chart.save(beside, scale_factor=2)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
