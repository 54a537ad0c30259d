"""Learning curves: scores by labels, scores by seconds, and published curves."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.charts.marks import (
    BAND_OPACITY,
    FEWEST_BAND_SEEDS,
    HEIGHT_PIXELS,
    PADDING_PIXELS,
    Spec,
    band_encoding,
    dots,
    hidden_parameter,
    interval_row,
    interval_tooltip,
    layer,
    names,
    quantity,
    style_encoding,
    visible_rows,
)
from leaderboard.charts.styles import Style
from leaderboard.schema.published import Published
from leaderboard.schema.records import Record
from leaderboard.scoring.sections import Section

RUN_WIDTH_PIXELS = 340


def curve_chart(
    section: Section, style_of: dict[str, Style], published: Sequence[Published] = (), *, legend_columns: int = 0
) -> Spec:
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
        | interval_row(point.score, f".{section.decimals}f")
        for entry in section.entries
        for point in entry.points
    ]
    looks = style_encoding(style_of, legend_columns)
    scale = {"zero": False, "nice": False, "padding": PADDING_PIXELS}
    labels = labels_axis(section.labels)
    score = quantity("mean", title=section.metric_title, scale=scale)
    band_rows = [row for row in means if row["has_band"]]
    lines, encoding = visible_rows(means), {"x": labels, "y": score, **looks}
    layers = [layer(lines, "line", encoding, strokeWidth=2), dots(lines, encoding, _tooltip(section))]
    if band_rows:
        bands = {"x": labels, "y": quantity("lower", scale=scale), "y2": {"field": "upper"}}
        bands |= band_encoding(looks, legend_columns)
        layers.insert(0, layer(visible_rows(band_rows), "area", bands, opacity=BAND_OPACITY))
    if published:
        layers += _published_layers(published, style_of, looks)
    return {"layer": layers, "params": [hidden_parameter(section)]}


def labels_axis(counts: Sequence[int]) -> Spec:
    """The axis of label counts, with a tick at each of them."""
    axis = {"format": ",d", "grid": False, "values": [*counts]}
    return quantity(
        "labeled", title="labeled images", axis=axis, scale={"zero": False, "nice": False, "padding": PADDING_PIXELS}
    )


def _tooltip(section: Section) -> list[Spec]:
    return [
        names("strategy", title="strategy"),
        quantity("labeled", title="labeled images", format=",d"),
        *interval_tooltip(section.metric_title, f".{section.decimals}f"),
        quantity("seeds", title="seeds", format="d"),
    ]


def seconds_chart(section: Section, style_of: dict[str, Style], *, legend_columns: int = 0) -> Spec:
    """Mean scores by the cumulative seconds of training and selection, on the section's hardware."""
    rows = [
        {"strategy": entry.strategy, "labeled": point.labeled, "mean": point.score.mean, "seconds": seconds}
        for entry in section.entries
        for point, seconds in zip(entry.points, entry.seconds_so_far(section.hardware), strict=False)
    ]
    tooltip = [
        names("strategy"),
        quantity("seconds", format=",.0f"),
        quantity("labeled", title="labeled images", format=",d"),
        quantity("mean", title=section.metric_title, format=f".{section.decimals}f"),
    ]
    title = "cumulative seconds of training and selection"
    scale = {"zero": False, "nice": False, "padding": PADDING_PIXELS}
    encoding = style_encoding(style_of, legend_columns) | {
        "x": quantity("seconds", title=title, axis={"grid": False}, scale={"zero": False}),
        "y": quantity("mean", title=section.metric_title, scale=scale),
    }
    base = visible_rows(rows)
    layers = [layer(base, "line", encoding, strokeWidth=2), dots(base, encoding, tooltip)]
    return {"layer": layers, "params": [hidden_parameter(section)]}


def _published_layers(published: Sequence[Published], style_of: dict[str, Style], looks: Spec) -> list[Spec]:
    rows = [
        {"strategy": strategy, "labeled": labeled, "mean": score, "source": source.title}
        for source in published
        for strategy, scores in source.scores.items()
        if strategy in style_of
        for labeled, score in zip(source.labeled, scores, strict=True)
    ]
    tooltip = [
        names("strategy"),
        quantity("labeled", format=",d"),
        quantity("mean", title="published"),
        names("source"),
    ]
    encoding = {
        "x": quantity("labeled"),
        "y": quantity("mean", scale={"zero": False}),
        "color": looks["color"],
        "detail": names("source"),
    }
    base = visible_rows(rows)
    return [
        layer(base, "line", encoding, strokeWidth=1, opacity=0.7, strokeDash=[1, 3]),
        layer(base, "point", encoding | {"tooltip": tooltip}, size=14, opacity=0.9, shape="cross"),
    ]


def run_chart(record: Record) -> Spec:
    """The learning curve of one run, up to its last finished round."""
    rows = [
        {"labeled": round_.labeled, "score": score} for round_, score in zip(record.rounds, record.score, strict=True)
    ]
    scale = {"zero": False, "nice": False, "padding": PADDING_PIXELS}
    encoding = {
        "x": labels_axis([row["labeled"] for row in rows]),
        "y": quantity("score", title=record.metric.title, scale=scale),
    }
    size = {"width": RUN_WIDTH_PIXELS, "height": HEIGHT_PIXELS}
    return layer({"data": {"values": rows}}, "line", encoding, point=True, strokeWidth=2) | size
