"""Gains over random on a protocol and on its variations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaderboard.charts.marks import (
    Spec,
    interval_row,
    interval_tooltip,
    layer,
    names,
    quantity,
    style_encoding,
    visible_rows,
    zero_rule,
)
from leaderboard.charts.styles import Style
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.variations import Variation, varied_strategies


def stress_chart(columns: Sequence[Variation], style_of: Mapping[str, Style], *, legend_columns: int = 0) -> Spec:
    """The gains in area over random by variation: points for means, bars for 95 % intervals.

    Args:
        columns: the base and its variations.
        style_of: the style of every strategy.
        legend_columns: the columns of the legend; 0 for none.
    """
    titles, strategies = [variation.name for variation in columns], varied_strategies(columns)
    title, digits = f"area minus {BASELINE}", f"+.{columns[0].section.decimals}f"
    rows = [
        {"variation": variation.name, "strategy": strategy} | interval_row(gain, digits)
        for variation in columns
        for strategy, gain in variation.gains.items()
        if strategy in strategies
    ]
    looks = style_encoding({name: style_of[name] for name in strategies}, legend_columns)
    place = {
        "x": names("variation", sort=titles, title=None, axis={"labelAngle": 0, "grid": False}),
        "xOffset": names("strategy", sort=strategies),
        "color": looks["color"],
    }
    tooltip = [names("strategy"), names("variation"), *interval_tooltip(title, digits)]
    means = place | {"y": quantity("mean", title=title), "shape": looks["shape"], "tooltip": tooltip}
    base = visible_rows(rows)
    bars = layer(base, "rule", place | {"y": quantity("lower"), "y2": {"field": "upper"}}, opacity=0.5)
    points = layer(base, "point", means, filled=True, size=60, opacity=1)
    return {"layer": [zero_rule(), bars, points], "params": [{"name": "hidden", "value": []}]}
