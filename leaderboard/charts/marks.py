"""Parts that charts of a section share: the initially visible strategies, marks, colors and tooltips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from leaderboard.charts.styles import GRAY, Style
from leaderboard.scoring.entries import BASELINE, REFERENCE_METHOD
from leaderboard.scoring.sections import Section

HEIGHT_PIXELS = 300
PADDING_PIXELS = 12
BAND_OPACITY = 0.14
FEWEST_BAND_SEEDS = 4
"""The fewest seeds for a band. Half the width of a 95 % interval is 12.7 standard errors for two seeds and 4.3 for three: bands
as wide as that would cover the other curves."""
MOST_LINES = 8
"""The number of strategies that are visible at first in a chart of a section with more."""


def initial_strategies(section: Section) -> list[str]:
    """The strategies that are visible at first in a chart, in the order of their ranks.

    Random and learning loss, then the strategies with the most seeds, the better ones first, up to `MOST_LINES`.
    """
    visible = {BASELINE, REFERENCE_METHOD} & section.by_name.keys()
    for standing in sorted(section.standings, key=lambda standing: -standing.seeds):
        if len(visible) < MOST_LINES:
            visible.add(standing.strategy)
    return [standing.strategy for standing in section.standings if standing.strategy in visible]


def hidden_parameter(section: Section) -> alt.Parameter:
    """The parameter of a chart that lists the hidden strategies; the site's buttons change it."""
    visible = {*initial_strategies(section)}
    return alt.param(name="hidden", value=[name for name in section.by_name if name not in visible])


def visible_rows(rows: list[dict[str, Any]]) -> alt.Chart:
    """A chart of the rows whose strategy is not hidden."""
    return alt.Chart(alt.Data(values=rows)).transform_filter("indexof(hidden, datum.strategy) < 0")


def dots(lines: alt.Chart, tooltip: Sequence[alt.Tooltip | str]) -> alt.Chart:
    """The points of a line chart, with tooltips. Their outlines are solid even if the lines are dashed."""
    marks = lines.mark_point(filled=True, size=46, opacity=1)
    return marks.encode(strokeDash=alt.value([1, 0]), tooltip=list(tooltip))


def style_encoding(style_of: Mapping[str, Style], legend_columns: int = 0) -> dict[str, Any]:
    """The encoding of strategies by color, dash and shape.

    Args:
        style_of: the style of every strategy, in the order of the legend.
        legend_columns: the columns of the legend; 0 for none.
    """
    names = list(style_of)
    legend = alt.Legend(
        title=None,
        orient="bottom",
        columns=legend_columns,
        symbolStrokeWidth=0,
        symbolOpacity=1,
        labelFontSize=12,
        symbolLimit=0,
    )
    color_legend = legend if legend_columns else None
    ranges = {
        "color": (alt.Color, [style.color for style in style_of.values()], color_legend),
        "strokeDash": (alt.StrokeDash, [list(style.dash) for style in style_of.values()], None),
        "shape": (alt.Shape, [style.shape for style in style_of.values()], color_legend),
    }
    return {
        name: channel("strategy:N", legend=channel_legend).scale(domain=names, range=values)
        for name, (channel, values, channel_legend) in ranges.items()
    }


def band_encoding(looks: dict[str, Any], legend_columns: int) -> dict[str, Any]:
    """The part of `style_encoding` that a band can have: without a shape, which would draw points on its edges.

    With a legend it keeps the dash, because the legends of layers merge only if the layers have the same channels.
    """
    return {name: looks[name] for name in (("color", "strokeDash") if legend_columns else ("color",))}


def without_nan(numbers: dict[str, float]) -> dict[str, float | None]:
    """The same numbers with None in place of NaN, which JSON does not have."""
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}


def interval_tooltip(title: str, digits: str) -> list[alt.Tooltip]:
    """The tooltips of a mean and of its 95 % interval.

    Args:
        title: the name of the mean.
        digits: the number format.
    """
    return [
        alt.Tooltip("mean:Q", title=title, format=digits),
        alt.Tooltip("lower:Q", title="95 % from", format=digits),
        alt.Tooltip("upper:Q", title="95 % to", format=digits),
    ]


def zero_rule() -> alt.Chart:
    """A dashed line at a gain of zero."""
    return alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 4], color=GRAY).encode(y="zero:Q")
