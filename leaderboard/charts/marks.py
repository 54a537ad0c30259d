"""Parts that charts of a section share: the initially visible strategies, marks, colors and tooltips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from leaderboard.charts.styles import GRAY, Style
from leaderboard.scoring.entries import BASELINE, REFERENCE_METHOD
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import Interval

Spec = dict[str, Any]
"""A chart, or a part of it, as Vega-Lite has it."""
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


def hidden_parameter(section: Section) -> Spec:
    """The parameter of a chart that lists the hidden strategies; the site's buttons change it."""
    visible = {*initial_strategies(section)}
    return {"name": "hidden", "value": [name for name in section.by_name if name not in visible]}


def quantity(name: str, **more: Any) -> Spec:
    """The encoding of a number."""
    return {"field": name, "type": "quantitative", **more}


def names(name: str, **more: Any) -> Spec:
    """The encoding of a name."""
    return {"field": name, "type": "nominal", **more}


def visible_rows(rows: list[dict[str, Any]]) -> Spec:
    """The data of the rows whose strategy is not hidden."""
    return {"data": {"values": rows}, "transform": [{"filter": "indexof(hidden, datum.strategy) < 0"}]}


def layer(base: Spec, mark: str, encoding: Spec, **properties: Any) -> Spec:
    """A layer of a chart.

    Args:
        base: data and transforms.
        mark: the mark.
        encoding: the channels.
        properties: of the mark.
    """
    return base | {"mark": {"type": mark, **properties}, "encoding": encoding}


def dots(base: Spec, encoding: Spec, tooltip: Sequence[Spec]) -> Spec:
    """The points of a line chart, with tooltips. Their outlines are solid even if the lines are dashed."""
    channels = encoding | {"strokeDash": {"value": [1, 0]}, "tooltip": [*tooltip]}
    return layer(base, "point", channels, filled=True, size=46, opacity=1)


def style_encoding(style_of: Mapping[str, Style], legend_columns: int = 0) -> Spec:
    """The encoding of strategies by color, dash and shape.

    Args:
        style_of: the style of every strategy, in the order of the legend.
        legend_columns: the columns of the legend; 0 for none.
    """
    legend = {"title": None, "orient": "bottom", "columns": legend_columns, "symbolStrokeWidth": 0}
    legend |= {"symbolOpacity": 1, "labelFontSize": 12, "symbolLimit": 0}
    color_legend = legend if legend_columns else None
    ranges = {
        "color": ([style.color for style in style_of.values()], color_legend),
        "strokeDash": ([list(style.dash) for style in style_of.values()], None),
        "shape": ([style.shape for style in style_of.values()], color_legend),
    }
    return {
        channel: names("strategy", legend=channel_legend, scale={"domain": [*style_of], "range": values})
        for channel, (values, channel_legend) in ranges.items()
    }


def band_encoding(looks: Spec, legend_columns: int) -> Spec:
    """The part of `style_encoding` that a band can have: without a shape, which would draw points on its edges.

    With a legend it keeps the dash, because the legends of layers merge only if the layers have the same channels.
    """
    return {name: looks[name] for name in (("color", "strokeDash") if legend_columns else ("color",))}


def interval_row(found: Interval, digits: str) -> dict[str, float | str | None]:
    """A mean, the limits of its 95 % interval, None in place of NaN, which JSON does not have, and the limits as text.

    Args:
        found: the interval.
        digits: the number format.
    """
    numbers = {name: None if math.isnan(value) else value for name, value in found._asdict().items()}
    if None in numbers.values():
        return numbers | {"interval": "unknown: fewer than two seeds"}
    limits = (format(value, digits).replace("-", "\N{MINUS SIGN}") for value in (found.lower, found.upper))
    return numbers | {"interval": " … ".join(limits)}


def interval_tooltip(title: str, digits: str) -> list[Spec]:
    """The tooltips of a mean and of its 95 % interval, as `interval_row` has them.

    Args:
        title: the name of the mean.
        digits: the number format.
    """
    return [quantity("mean", title=title, format=digits), names("interval", title="95 % interval")]


def zero_rule() -> Spec:
    """A dashed line at a gain of zero."""
    data = {"data": {"values": [{"zero": 0}]}}
    return layer(data, "rule", {"y": quantity("zero")}, strokeDash=[4, 4], color=GRAY)
