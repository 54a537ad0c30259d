"""Gains over random on a protocol and on its variations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from leaderboard.charts.marks import interval_tooltip, style_encoding, visible_rows, without_nan, zero_rule
from leaderboard.charts.styles import Style
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.variations import Variation, varied_strategies


def stress_chart(
    columns: Sequence[Variation], style_of: Mapping[str, Style], *, legend_columns: int = 0
) -> alt.LayerChart:
    """The gains in area over random by variation: points for means, bars for 95 % intervals.

    Args:
        columns: the base and its variations.
        style_of: the style of every strategy.
        legend_columns: the columns of the legend; 0 for none.
    """
    names, strategies = [variation.name for variation in columns], varied_strategies(columns)
    rows = [
        {"variation": variation.name, "strategy": strategy} | without_nan(gain._asdict())
        for variation in columns
        for strategy, gain in variation.gains.items()
        if strategy in strategies
    ]
    looks = style_encoding({name: style_of[name] for name in strategies}, legend_columns)
    base = visible_rows(rows).encode(
        x=alt.X("variation:N", sort=names, title=None, axis=alt.Axis(labelAngle=0, grid=False)),
        xOffset=alt.XOffset("strategy:N", sort=strategies),
        color=looks["color"],
    )
    gain = alt.Y("mean:Q", title=f"area minus {BASELINE}")
    digits = f"+.{columns[0].section.decimals}f"
    tooltip = ["strategy:N", "variation:N", *interval_tooltip(f"area minus {BASELINE}", digits)]
    points = base.mark_point(filled=True, size=60, opacity=1).encode(y=gain, shape=looks["shape"], tooltip=tooltip)
    bars = base.mark_rule(opacity=0.5).encode(y="lower:Q", y2="upper:Q")
    return alt.LayerChart(layer=[zero_rule(), bars, points]).add_params(alt.param(name="hidden", value=[]))
