"""Gains over random by the seconds of selection, with the Pareto front."""

from __future__ import annotations

import math
from typing import Any

from leaderboard.charts.marks import (
    PADDING_PIXELS,
    Spec,
    hidden_parameter,
    interval_row,
    interval_tooltip,
    layer,
    names,
    quantity,
    style_encoding,
    visible_rows,
    zero_rule,
)
from leaderboard.charts.styles import GRAY, Style
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.sections import Section

LEAST_SECONDS = 0.05
"""Shorter selections are drawn at this value of the logarithmic axis: random's true microseconds would leave the others a corner."""

LEAST_SPACE = 0.06
"""Share of the front's height between two names: a line of text."""


def pareto_chart(section: Section, style_of: dict[str, Style], *, show_all: bool = False) -> Spec | None:
    """The gain in area over random by the seconds of selection per round, on the section's hardware.

    Args:
        section: the section.
        style_of: the style of every strategy.
        show_all: whether all strategies are visible, or only `initial_strategies`.

    Returns:
        None if no strategy has both.
    """
    rows = _rows(section)
    if all(row["strategy"] == BASELINE for row in rows):
        return None
    looks = style_encoding(style_of)
    title = f"area minus {BASELINE}"
    unit = f"{title}, {section.metric_title}"
    seconds = quantity(
        "seconds",
        title="selection, seconds a round",
        axis={"format": "~g", "grid": False},
        scale={"type": "log", "nice": False, "padding": PADDING_PIXELS},
    )
    gain = quantity("mean", title=unit)
    tooltip = [
        names("strategy"),
        quantity("taken", title="seconds", format=".3~g"),
        *interval_tooltip(title, f"+.{section.decimals}f"),
    ]
    base, place = visible_rows(rows), {"x": seconds, "y": gain, "color": looks["color"]}
    best = _front([row for row in rows if row["ranked"]], section.sign)
    front = {"data": {"values": best}}
    named = {"data": {"values": _apart([row for row in best if row["strategy"] != BASELINE])}}
    steps = {"x": seconds, "y": gain, "order": quantity("seconds")}
    # No point lies on the better and cheaper side of the front, so that names stand free there.
    beside = {"align": "right", "dx": -7, "dy": -8 * section.sign, "fontSize": 11}
    points = place | {"shape": looks["shape"], "tooltip": tooltip}
    return {
        "layer": [
            zero_rule(),
            layer(front, "line", steps, interpolate="step-after", color=GRAY, strokeWidth=1),
            *(layer(each, "point", points, filled=True, size=70, opacity=1) for each in (front, base)),
            layer(named, "text", place | {"text": names("strategy")}, **beside),
        ],
        "params": [{"name": "hidden", "value": []} if show_all else hidden_parameter(section)],
    }


def _rows(section: Section) -> list[dict[str, Any]]:
    """A row per strategy with known seconds and a known gain; the gain of random is 0."""
    return [
        {
            "strategy": standing.strategy,
            "seconds": max(standing.costs.select, LEAST_SECONDS),
            "taken": standing.costs.select,
            "ranked": standing.rank is not None,
        }
        | (
            {"mean": 0.0, "interval": "none: compared with itself"}
            if standing.strategy == BASELINE
            else interval_row(standing.to_baseline, f"+.{section.decimals}f")
        )
        for standing in section.standings
        if standing.strategy not in section.twins
        and not math.isnan(standing.costs.select)
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


def _apart(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those rows of the front whose names have room: of two with nearly the same gain, the better one."""
    kept: list[dict[str, Any]] = []
    span = abs(rows[-1]["mean"] - rows[0]["mean"]) if rows else 0.0
    for row in reversed(rows):
        if not kept or abs(kept[-1]["mean"] - row["mean"]) >= LEAST_SPACE * span:
            kept.append(row)
    return kept[::-1]
