"""Gains over random by label count: those of a section and published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leaderboard.charts.marks import (
    BAND_OPACITY,
    FEWEST_BAND_SEEDS,
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
    zero_rule,
)
from leaderboard.charts.styles import Style
from leaderboard.schema.published import Published
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import interval

PUBLISHED_DASHES = ([1, 3], [7, 3, 1, 3])
"""Of the lines of the first and the second published source."""


def gains(section: Section, strategies: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """The score minus random's under the same seeds, a row per strategy and label count.

    Strategies that share no seed with random have no row.

    Args:
        section: the section.
        strategies: the strategies to compute; by default all.
    """
    random = _scores(section, BASELINE)
    rows = []
    for name in (section.by_name.keys() if strategies is None else {*strategies}) - {BASELINE}:
        own = _scores(section, name)
        shared = sorted(own.keys() & random.keys())
        for index, labeled in enumerate(section.labels if shared else ()):
            gain = interval([own[seed][index] - random[seed][index] for seed in shared])
            numbers = interval_row(gain, f"+.{section.decimals}f")
            rows.append({"strategy": name, "labeled": labeled, "seeds": len(shared)} | numbers)
    return sorted(rows, key=lambda row: (row["strategy"], row["labeled"]))


def _scores(section: Section, strategy: str) -> Mapping[int, Sequence[float]]:
    """The scores of all rounds, by seed; empty if the strategy has no run."""
    entry = section.by_name.get(strategy)
    return {record.seed: record.score for record in entry.records} if entry else {}


def published_gains(published: Sequence[Published], style_of: Mapping[str, Style]) -> list[dict[str, Any]]:
    """The published score minus that of random in the same source, a row per strategy and label count.

    Sources without random are left out.
    """
    return [
        {"strategy": strategy, "labeled": labeled, "mean": score - random, "source": source.title}
        for source in published
        if BASELINE in source.scores
        for strategy, scores in source.scores.items()
        if strategy in style_of and strategy != BASELINE
        for labeled, score, random in zip(source.labeled, scores, source.scores[BASELINE], strict=True)
    ]


def is_drawable(source: Published, section: Section) -> bool:
    """Whether a published curve belongs in the chart of a section: it is a curve, or a point among the section's labels.

    A single point far away would leave the section's own curves a corner of the chart.
    """
    inside = all(section.labels[0] <= labeled <= section.labels[-1] for labeled in source.labeled)
    return inside or len(source.labeled) > 1


def gain_chart(
    section: Section, style_of: dict[str, Style], published: Sequence[Published] = (), *, legend_columns: int = 0
) -> Spec | None:
    """Gains over random by labels: lines for means, bands for 95 % intervals from four seeds on.

    Published gains are lines with crosses, if `is_drawable`: dotted, and of a second source dotted and dashed. Their label counts are
    often much larger, so the axis of labels is logarithmic if there are any.

    Args:
        section: the section.
        style_of: the style of every strategy.
        published: published curves, of any protocol.
        legend_columns: the columns of the legend; 0 for none.

    Returns:
        None if no strategy shares a seed with random.
    """
    rows = gains(section)
    if not rows:
        return None
    published_rows = published_gains([source for source in published if is_drawable(source, section)], style_of)
    ticks: Spec = {"labelOverlap": True} if published_rows else {"values": section.labels}
    scale: Spec = {"type": "log"} if published_rows else {"zero": False}
    labels = quantity(
        "labeled",
        title="labeled images",
        axis={"format": ",d", "grid": False, **ticks},
        scale={**scale, "nice": False, "padding": PADDING_PIXELS},
    )
    gain = quantity("mean", title=f"{section.metric_title} minus {BASELINE}")
    mean, limits = interval_tooltip(f"minus {BASELINE}", f"+.{section.decimals}f")
    tooltip = [names("strategy"), quantity("labeled", title="labeled images", format=",d"), mean]
    looks = style_encoding({name: style for name, style in style_of.items() if name != BASELINE}, legend_columns)
    lines, encoding = visible_rows(rows), {"x": labels, "y": gain, **looks}
    bands = visible_rows([row for row in rows if row["seeds"] >= FEWEST_BAND_SEEDS])
    ends = {"x": labels, "y": quantity("lower"), "y2": {"field": "upper"}, **band_encoding(looks, legend_columns)}
    layers = [
        zero_rule(),
        layer(bands, "area", ends, opacity=BAND_OPACITY),
        layer(lines, "line", encoding, strokeWidth=2),
        dots(lines, encoding, [*tooltip, limits, quantity("seeds")]),
    ]
    if published_rows:
        layers += _published_layers(published_rows, encoding, tooltip)
    return {"layer": layers, "params": [hidden_parameter(section)]}


def _published_layers(rows: list[dict[str, Any]], encoding: Spec, tooltip: list[Spec]) -> list[Spec]:
    channels = {channel: encoding[channel] for channel in ("x", "y", "color")}
    with_tooltip = channels | {"tooltip": [*tooltip, names("source")], "strokeDash": {"value": [1, 0]}}
    layers = []
    for number, source in enumerate(dict.fromkeys(row["source"] for row in rows)):
        dash = PUBLISHED_DASHES[number % len(PUBLISHED_DASHES)]
        of_source = visible_rows([row for row in rows if row["source"] == source])
        layers.append(layer(of_source, "line", channels | {"strokeDash": {"value": dash}}, strokeWidth=1.5))
    return [*layers, layer(visible_rows(rows), "point", with_tooltip, size=14, shape="cross", filled=True, opacity=1)]
