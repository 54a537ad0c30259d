"""Learning curves: scores by labels, scores by seconds, and published curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from leaderboard.charts.marks import (
    BAND_OPACITY,
    FEWEST_BAND_SEEDS,
    HEIGHT_PIXELS,
    PADDING_PIXELS,
    band_encoding,
    dots,
    hidden_parameter,
    interval_tooltip,
    style_encoding,
    visible_rows,
    without_nan,
)
from leaderboard.charts.styles import Style
from leaderboard.schema.published import Published
from leaderboard.schema.records import Record
from leaderboard.scoring.sections import Section

RUN_WIDTH_PIXELS = 340


def curve_chart(
    section: Section, style_of: dict[str, Style], published: Sequence[Published] = (), *, legend_columns: int = 0
) -> alt.LayerChart:
    """The learning curves of a section: mean scores by labels, with bands for 95 % intervals from four seeds on.

    Args:
        section: the section.
        style_of: the style of every strategy.
        published: published curves of the same protocol, drawn as thin dotted lines.
        legend_columns: the columns of the legend; 0 for none. The site has a legend of its own.

    Returns:
        A chart whose parameter `hidden` lists the strategies that it does not show.
    """
    means = [
        {
            "strategy": entry.strategy,
            "labeled": point.labeled,
            "seeds": point.seeds,
            "has_band": point.seeds >= FEWEST_BAND_SEEDS,
        }
        | without_nan(point.score._asdict())
        for entry in section.entries
        for point in entry.points
    ]
    looks = style_encoding(style_of, legend_columns)
    labels = alt.X("labeled:Q", title="labeled images", axis=alt.Axis(format=",d", grid=False, values=section.labels))
    labels = labels.scale(zero=False, nice=False, padding=PADDING_PIXELS)
    score = alt.Y("mean:Q", title=section.metric_title).scale(zero=False, nice=False, padding=PADDING_PIXELS)
    band_rows = [row for row in means if row["has_band"]]
    lines = visible_rows(means).encode(x=labels, y=score, **looks)
    layers = [
        lines.mark_line(strokeWidth=2),
        dots(lines, _tooltip(section)),
    ]
    if band_rows:
        lower = alt.Y("lower:Q").scale(zero=False, nice=False, padding=PADDING_PIXELS)
        bands = visible_rows(band_rows).encode(x=labels, y=lower, y2="upper:Q", **band_encoding(looks, legend_columns))
        layers.insert(0, bands.mark_area(opacity=BAND_OPACITY))
    if published:
        layers += _published_layers(published, style_of, looks)
    return alt.LayerChart(layer=layers).add_params(hidden_parameter(section))


def _tooltip(section: Section) -> list[alt.Tooltip]:
    digits = f".{section.decimals}f"
    return [
        alt.Tooltip("strategy:N", title="strategy"),
        alt.Tooltip("labeled:Q", title="labeled images", format=",d"),
        *interval_tooltip(section.metric_title, digits),
        alt.Tooltip("seeds:Q", title="seeds", format="d"),
    ]


def seconds_chart(section: Section, style_of: dict[str, Style], *, legend_columns: int = 0) -> alt.LayerChart:
    """Mean scores by the cumulative seconds of training and selection, on the section's hardware."""
    rows = [
        {"strategy": entry.strategy, "labeled": point.labeled, "mean": point.score.mean, "seconds": seconds}
        for entry in section.entries
        for point, seconds in zip(entry.points, entry.seconds_so_far(section.hardware), strict=False)
    ]
    looks = style_encoding(style_of, legend_columns)
    tooltip = [
        "strategy:N",
        alt.Tooltip("seconds:Q", format=",.0f"),
        alt.Tooltip("labeled:Q", title="labeled images", format=",d"),
        alt.Tooltip("mean:Q", title=section.metric_title, format=f".{section.decimals}f"),
    ]
    seconds = alt.X("seconds:Q", title="cumulative seconds of training and selection", axis=alt.Axis(grid=False))
    score = alt.Y("mean:Q", title=section.metric_title).scale(zero=False, nice=False, padding=PADDING_PIXELS)
    base = visible_rows(rows).encode(x=seconds.scale(zero=False), y=score, **looks)
    layers = [base.mark_line(strokeWidth=2), dots(base, tooltip)]
    return alt.LayerChart(layer=layers).add_params(hidden_parameter(section))


def _published_layers(
    published: Sequence[Published], style_of: dict[str, Style], looks: dict[str, Any]
) -> list[alt.Chart]:
    rows = [
        {"strategy": strategy, "labeled": labeled, "mean": score, "source": source.title}
        for source in published
        for strategy, scores in source.scores.items()
        if strategy in style_of
        for labeled, score in zip(source.labeled, scores, strict=True)
    ]
    tooltip = [
        "strategy:N",
        alt.Tooltip("labeled:Q", format=",d"),
        alt.Tooltip("mean:Q", title="published"),
        "source:N",
    ]
    base = visible_rows(rows).encode(
        x="labeled:Q", y=alt.Y("mean:Q").scale(zero=False), color=looks["color"], detail="source:N"
    )
    return [
        base.mark_line(strokeWidth=1, opacity=0.7, strokeDash=[1, 3]),
        base.mark_point(size=14, opacity=0.9, shape="cross").encode(tooltip=tooltip),
    ]


def published_chart(published: Sequence[Published], style_of: dict[str, Style]) -> alt.LayerChart:
    """Published curves alone, for sources that are not comparable with our runs."""
    layers = _published_layers(published, style_of, style_encoding(style_of))
    layers[0] = layers[0].encode(x=alt.X("labeled:Q", title="labeled images", axis=alt.Axis(format=",d", grid=False)))
    layers[0] = layers[0].encode(y=alt.Y("mean:Q", title="published score").scale(zero=False))
    return alt.LayerChart(layer=layers).add_params(alt.param(name="hidden", value=[]))


def run_chart(record: Record) -> alt.Chart:
    """The learning curve of one run, up to its last finished round."""
    rows = [
        {"labeled": round_.labeled, "score": score} for round_, score in zip(record.rounds, record.score, strict=True)
    ]
    counts = [row["labeled"] for row in rows]
    labels = alt.X("labeled:Q", title="labeled images", axis=alt.Axis(format=",d", grid=False, values=counts))
    score = alt.Y("score:Q", title=record.metric.title).scale(zero=False, nice=False, padding=PADDING_PIXELS)
    chart = alt.Chart(alt.Data(values=rows)).mark_line(point=True, strokeWidth=2)
    chart = chart.encode(x=labels.scale(zero=False, nice=False, padding=PADDING_PIXELS), y=score)
    return chart.properties(width=RUN_WIDTH_PIXELS, height=HEIGHT_PIXELS)
