"""What strategies gain over random against the seconds that they select for."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from leaderboard.charts.marks import bounds, hidden_at_first, interval_tooltip, look, shown, zero_rule
from leaderboard.charts.styles import GREY, Style
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.sections import Section

LEAST_SECONDS = 1e-4
"""Below it a logarithmic axis shows nothing of interest."""


def pareto_chart(section: Section, drawn: dict[str, Style], *, everyone: bool = False) -> alt.LayerChart:
    """What a strategy gains over random against the seconds that it selects for, by the page's machine."""
    rows = [
        {"strategy": each.strategy, "seconds": max(each.costs.select, LEAST_SECONDS), "ranked": each.rank is not None}
        | (bounds(each.to_baseline._asdict()) if each.strategy != BASELINE else {"mean": 0.0})
        for each in section.standings
        if not math.isnan(each.costs.select) and (each.strategy == BASELINE or not math.isnan(each.to_baseline.mean))
    ]
    looks = look(drawn)
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
    base = shown(rows).encode(x=seconds, y=gain, color=looks["color"])
    front = alt.Chart(alt.Data(values=_front([each for each in rows if each["ranked"]], section.sign))).encode(
        x=seconds, y=gain, order="seconds:Q"
    )
    return alt.LayerChart(
        layer=[
            zero_rule(),
            front.mark_line(interpolate="step-after", color=GREY, strokeWidth=1),
            base.mark_point(filled=True, size=70, opacity=1).encode(shape=looks["shape"], tooltip=tooltip),
            base.mark_text(align="left", dx=7, fontSize=11).encode(text="strategy:N"),
        ]
    ).add_params(alt.param(name="hidden", value=[]) if everyone else hidden_at_first(section))


def _front(rows: list[dict[str, Any]], sign: float) -> list[dict[str, Any]]:
    """Those that no other beats in both gain and seconds, the cheapest first."""
    best = -math.inf
    front = []
    for row in sorted(rows, key=lambda each: (each["seconds"], -sign * each["mean"])):
        if sign * row["mean"] > best:
            best = sign * row["mean"]
            front.append(row)
    return front
