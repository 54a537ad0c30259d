"""Writes charts as PNG and SVG files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import altair as alt

from leaderboard.charts.curves import curve_chart
from leaderboard.charts.marks import HEIGHT_PIXELS, Spec, initial_strategies
from leaderboard.charts.styles import styles
from leaderboard.schema.records import Record, RecordError
from leaderboard.scoring.sections import Section, sections

WIDTH_PIXELS, SPACING_PIXELS = 340, 80
CHARTS_IN_A_ROW, LEGEND_COLUMNS = 3, 3


def drawable(chart: Spec) -> alt.LayerChart:
    """A chart as an object of Altair, which notebooks show and `save` writes."""
    return alt.LayerChart.from_dict(chart)


def section_chart(section: Section) -> alt.LayerChart:
    """The learning curves of one section, with a legend, for its `initial_strategies`."""
    reduced = section.only(initial_strategies(section))
    chart = drawable(curve_chart(reduced, styles(reduced.by_name), legend_columns=LEGEND_COLUMNS))
    return chart.properties(width=2 * WIDTH_PIXELS, height=HEIGHT_PIXELS, title=section.title)


def curves_picture(panels: Sequence[Section], path: Path) -> Path:
    """Draw the learning curves of sections into one picture, a panel per section with its `initial_strategies`.

    Args:
        panels: the sections.
        path: the picture; its suffix, png or svg, is the format.

    Returns:
        The path.

    Raises:
        RecordError: there is no section.
    """
    if not panels:
        msg = f"{path}: no complete record to draw; finish a run first"
        raise RecordError(msg)
    reduced = [section.only(initial_strategies(section)) for section in panels]
    style_of = styles(name for section in reduced for name in section.by_name)
    columns = min(len(panels), CHARTS_IN_A_ROW)
    charts = [
        drawable(curve_chart(section, style_of, legend_columns=LEGEND_COLUMNS * columns)).properties(
            width=WIDTH_PIXELS, height=HEIGHT_PIXELS, title=section.title
        )
        for section in reduced
    ]
    figure = alt.concat(*charts, columns=columns, spacing=SPACING_PIXELS, bounds="flush")
    return save(figure.resolve_scale(color="shared", strokeDash="shared", shape="shared"), path)


def curves_png(records: Sequence[Record], path: Path) -> Path:
    """Draw the learning curves of all sections of some records into one picture.

    Returns:
        The path.

    Raises:
        RecordError: there is no complete record to draw.
    """
    return curves_picture(sections(records), path)


def save(chart: alt.LayerChart | alt.ConcatChart, path: Path) -> Path:
    """Write a chart as a picture, atomically; the suffix of the path, png or svg, is the format."""
    chart = chart.configure_view(stroke=None)
    chart = chart.configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e6e6e6")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        chart.save(temporary, scale_factor=2)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
