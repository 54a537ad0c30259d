"""What the charts of a section share: which strategies they begin with, their marks, and their colors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from leaderboard.charts.styles import GREY, Style
from leaderboard.scoring.entries import BASELINE, REFERENCE_METHOD
from leaderboard.scoring.sections import Section

HEIGHT_PIXELS = 300
PADDING_PIXELS = 12
BAND_OPACITY = 0.14
FEWEST_BAND_SEEDS = 4
"""A 95 % interval of two seeds reaches 12.7 standard errors either way, of three 4.3: in a chart it hides the others."""
MOST_LINES = 8
"""Where a section has more strategies, a chart begins with random, learning loss, and those of most seeds, the best first."""


def shown_first(section: Section) -> list[str]:
    """The strategies that a chart of a section begins with."""
    first = {BASELINE, REFERENCE_METHOD} & section.by_name.keys()
    for each in sorted(section.standings, key=lambda each: -each.seeds):
        if len(first) < MOST_LINES:
            first.add(each.strategy)
    return [each.strategy for each in section.standings if each.strategy in first]


def hidden_at_first(section: Section) -> alt.Parameter:
    """The parameter that lists the strategies left out: at first all but those that a chart begins with."""
    first = {*shown_first(section)}
    return alt.param(name="hidden", value=[name for name in section.by_name if name not in first])


def shown(rows: list[dict[str, Any]]) -> alt.Chart:
    """A chart of rows, without those of hidden strategies."""
    return alt.Chart(alt.Data(values=rows)).transform_filter("indexof(hidden, datum.strategy) < 0")


def dots(lines: alt.Chart, tooltip: Sequence[alt.Tooltip | str]) -> alt.Chart:
    """The points of lines; their edges are not dashed."""
    marks = lines.mark_point(filled=True, size=46, opacity=1)
    return marks.encode(strokeDash=alt.value([1, 0]), tooltip=list(tooltip))


def look(drawn: Mapping[str, Style], legend_columns: int = 0) -> dict[str, Any]:
    """Color, dash and shape of each strategy; in the page the legend is HTML."""
    names = list(drawn)
    legend = alt.Legend(
        title=None,
        orient="bottom",
        columns=legend_columns,
        symbolStrokeWidth=0,
        symbolOpacity=1,
        labelFontSize=12,
        symbolLimit=0,
    )
    legend_shown = legend if legend_columns else None
    ranges = {
        "color": (alt.Color, [style.color for style in drawn.values()], legend_shown),
        "strokeDash": (alt.StrokeDash, [list(style.dash) for style in drawn.values()], None),
        "shape": (alt.Shape, [style.shape for style in drawn.values()], legend_shown),
    }
    return {
        name: channel("strategy:N", legend=legended).scale(domain=names, range=values)
        for name, (channel, values, legended) in ranges.items()
    }


def areas(looks: dict[str, Any], legend_columns: int) -> dict[str, Any]:
    """What of `look` a band has: a shape would put points on its edge, and legends merge where layers carry the same."""
    return {name: looks[name] for name in (("color", "strokeDash") if legend_columns else ("color",))}


def bounds(numbers: dict[str, float]) -> dict[str, float | None]:
    """The same numbers, with nothing for NaN: JSON has no word for it."""
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}


def interval_tooltip(title: str, digits: str) -> list[alt.Tooltip]:
    """What a point says of its mean and of the 95 % interval around it."""
    return [
        alt.Tooltip("mean:Q", title=title, format=digits),
        alt.Tooltip("lower:Q", title="95 % from", format=digits),
        alt.Tooltip("upper:Q", title="95 % to", format=digits),
    ]


def zero_rule() -> alt.Chart:
    """A dashed line where nothing is gained."""
    return alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 4], color=GREY).encode(y="zero:Q")
