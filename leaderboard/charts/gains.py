"""What strategies gain over random, label count by label count, beside what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from leaderboard.charts.marks import (
    BAND_OPACITY,
    FEWEST_BAND_SEEDS,
    PADDING_PIXELS,
    areas,
    bounds,
    dots,
    hidden_at_first,
    interval_tooltip,
    look,
    shown,
    zero_rule,
)
from leaderboard.charts.styles import Style
from leaderboard.schema.published import Published
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import interval


def gains(section: Section) -> list[dict[str, Any]]:
    """Score minus random's under the same seed, a row a strategy and label count; none where random has no run."""
    below = _scores(section, BASELINE)
    rows = []
    for name in section.by_name.keys() - {BASELINE}:
        own = _scores(section, name)
        shared = sorted(own.keys() & below.keys())
        for place, labeled in enumerate(section.labels if shared else ()):
            gain = interval([own[seed][place] - below[seed][place] for seed in shared])
            rows.append({"strategy": name, "labeled": labeled, "seeds": len(shared)} | bounds(gain._asdict()))
    return sorted(rows, key=lambda row: (row["strategy"], row["labeled"]))


def _scores(section: Section, strategy: str) -> Mapping[int, Sequence[float]]:
    return {record.seed: record.score for entry in section.only((strategy,)).entries for record in entry.records}


def published_gains(published: Sequence[Published], drawn: Mapping[str, Style]) -> list[dict[str, Any]]:
    """The same of published means, as rows of a chart; a source without random gives none."""
    return [
        {"strategy": strategy, "labeled": labeled, "mean": score - below, "source": each.title}
        for each in published
        if BASELINE in each.scores
        for strategy, scores in each.scores.items()
        if strategy in drawn and strategy != BASELINE
        for labeled, score, below in zip(each.labeled, scores, each.scores[BASELINE], strict=True)
    ]


def gain_chart(
    section: Section, drawn: dict[str, Style], published: Sequence[Published] = (), *, legend_columns: int = 0
) -> alt.LayerChart | None:
    """Gain over random by labels: points and lines for means, bands for 95 % intervals from four seeds on.

    Crosses and dotted lines are published, mostly at other label counts: with them the labels are on a logarithmic axis.
    None where there is nothing to compare.
    """
    rows = gains(section)
    if not rows:
        return None
    theirs = published_gains(published, drawn)
    ticks: dict[str, Any] = {"labelOverlap": True} if theirs else {"values": section.labels}
    axis: dict[str, Any] = {"type": "log"} if theirs else {"zero": False}
    labels = alt.X("labeled:Q", title="labeled images", axis=alt.Axis(format=",d", grid=False, **ticks))
    labels = labels.scale(**axis, nice=False, padding=PADDING_PIXELS)
    gain = alt.Y("mean:Q", title=f"{section.metric_title} minus {BASELINE}")
    mean, *bounded = interval_tooltip(f"minus {BASELINE}", f"+.{section.decimals}f")
    tooltip = ["strategy:N", alt.Tooltip("labeled:Q", title="labeled images", format=",d"), mean]
    looks = look({name: style for name, style in drawn.items() if name != BASELINE}, legend_columns)
    ours = shown(rows).encode(x=labels, y=gain, **looks)
    bands = shown([row for row in rows if row["seeds"] >= FEWEST_BAND_SEEDS]).encode(
        x=labels, y="lower:Q", y2="upper:Q", **areas(looks, legend_columns)
    )
    layers: list[alt.Chart] = [
        zero_rule(),
        bands.mark_area(opacity=BAND_OPACITY),
        ours.mark_line(strokeWidth=2),
        dots(ours, [*tooltip, *bounded, "seeds:Q"]),
    ]
    if theirs:
        other = shown(theirs).encode(
            x=labels, y=gain, detail="source:N", color=looks["color"], strokeDash=alt.value([1, 3])
        )
        layers += [
            other.mark_line(strokeWidth=1.5),
            other.mark_point(size=14, shape="cross", filled=True, opacity=1).encode(tooltip=[*tooltip, "source:N"]),
        ]
    return alt.LayerChart(layer=layers).add_params(hidden_at_first(section))
