"""Gains over random by the seconds of selection, with the Pareto front."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from leaderboard.charts.marks import (
    hidden_parameter,
    interval_tooltip,
    style_encoding,
    visible_rows,
    without_nan,
    zero_rule,
)
from leaderboard.charts.styles import GRAY, Style
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.sections import Section

LEAST_SECONDS = 1e-4
"""Shorter selections are drawn at this value of the logarithmic axis."""


def pareto_chart(section: Section, style_of: dict[str, Style], *, show_all: bool = False) -> alt.LayerChart:
    """The gain in area over random by the seconds of selection per round, on the section's hardware.

    Args:
        section: the section.
        style_of: the style of every strategy.
        show_all: whether all strategies are visible, or only `initial_strategies`.
    """
    rows = _rows(section)
    looks = style_encoding(style_of)
    seconds = alt.X("seconds:Q", title="selection, seconds a round", axis=alt.Axis(format="~g", grid=False)).scale(
        type="log"
    )
    gain = alt.Y("mean:Q", title=f"area minus {BASELINE}")
    digits = f"+.{section.decimals}f"
    tooltip = [
        "strategy:N",
        alt.Tooltip("seconds:Q", format=".3~g"),
        *interval_tooltip(f"area minus {BASELINE}", digits),
    ]
    base = visible_rows(rows).encode(x=seconds, y=gain, color=looks["color"])
    front = alt.Chart(alt.Data(values=_front([row for row in rows if row["ranked"]], section.sign))).encode(
        x=seconds, y=gain, order="seconds:Q"
    )
    return alt.LayerChart(
        layer=[
            zero_rule(),
            front.mark_line(interpolate="step-after", color=GRAY, strokeWidth=1),
            base.mark_point(filled=True, size=70, opacity=1).encode(shape=looks["shape"], tooltip=tooltip),
            base.mark_text(align="left", dx=7, fontSize=11).encode(text="strategy:N"),
        ]
    ).add_params(alt.param(name="hidden", value=[]) if show_all else hidden_parameter(section))


def _rows(section: Section) -> list[dict[str, Any]]:
    """A row per strategy with known seconds and a known gain; the gain of random is 0."""
    return [
        {
            "strategy": standing.strategy,
            "seconds": max(standing.costs.select, LEAST_SECONDS),
            "ranked": standing.rank is not None,
        }
        | ({"mean": 0.0} if standing.strategy == BASELINE else without_nan(standing.to_baseline._asdict()))
        for standing in section.standings
        if not math.isnan(standing.costs.select)
        and (standing.strategy == BASELINE or not math.isnan(standing.to_baseline.mean))
    ]


def _front(rows: list[dict[str, Any]], sign: float) -> list[dict[str, Any]]:
    """The Pareto front: rows that no other row exceeds in gain at the same or fewer seconds, by seconds."""
    best = -math.inf
    front = []
    for row in sorted(rows, key=lambda row: (row["seconds"], -sign * row["mean"])):
        if sign * row["mean"] > best:
            best = sign * row["mean"]
            front.append(row)
    return front
