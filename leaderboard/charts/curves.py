"""Charts: one definition of each, for the page (Vega-Lite) and for pictures (`leaderboard.charts.pictures`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

from leaderboard.charts.styles import GREY, Style
from leaderboard.schema.published import Published
from leaderboard.scoring.entries import BASELINE, REFERENCE_METHOD
from leaderboard.scoring.picks import GroupShare
from leaderboard.scoring.sections import Section

HEIGHT_PIXELS = 300
CELL_PIXELS, BAR_PIXELS = 26, 9
PADDING_PIXELS = 12
BAND_OPACITY = 0.14
LEAST_SECONDS = 1e-4
"""Below it a logarithmic axis shows nothing of interest."""
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


def curve_chart(
    section: Section, drawn: dict[str, Style], published: Sequence[Published] = (), *, legend_columns: int = 0
) -> alt.LayerChart:
    """Score by labels, a color a strategy: lines through the means, bands for 95 % intervals from four seeds on.

    Lines of small points are published figures of the same protocol. The parameter `hidden` lists strategies left out.
    """
    means = [
        {
            "strategy": entry.strategy,
            "labeled": point.labeled,
            "seeds": point.seeds,
            "banded": point.seeds >= FEWEST_BAND_SEEDS,
        }
        | bounds(point.score._asdict())
        for entry in section.entries
        for point in entry.points
    ]
    looks = look(drawn, legend_columns)
    labels = alt.X("labeled:Q", title="labeled images", axis=alt.Axis(format=",d", grid=False, values=section.labels))
    labels = labels.scale(zero=False, nice=False, padding=PADDING_PIXELS)
    score = alt.Y("mean:Q", title=section.metric_title).scale(zero=False, nice=False, padding=PADDING_PIXELS)
    clear = [each for each in means if each["banded"]]
    lines = shown(means).encode(x=labels, y=score, **looks)
    layers = [
        lines.mark_line(strokeWidth=2),
        dots(lines, _tooltip(section)),
    ]
    if clear:
        lower = alt.Y("lower:Q").scale(zero=False, nice=False, padding=PADDING_PIXELS)
        bands = shown(clear).encode(x=labels, y=lower, y2="upper:Q", **areas(looks, legend_columns))
        layers.insert(0, bands.mark_area(opacity=BAND_OPACITY))
    if published:
        layers += _published_layers(published, drawn, looks)
    return alt.LayerChart(layer=layers).add_params(hidden_at_first(section))


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


def seconds_chart(section: Section, drawn: dict[str, Style], *, legend_columns: int = 0) -> alt.LayerChart:
    """Score by the seconds that training and selection have taken so far, on the section's machine."""
    rows = [
        {"strategy": entry.strategy, "labeled": point.labeled, "mean": point.score.mean, "seconds": spent}
        for entry in section.entries
        for point, spent in zip(entry.points, entry.seconds_so_far(section.hardware), strict=False)
    ]
    looks = look(drawn, legend_columns)
    tooltip = [
        "strategy:N",
        alt.Tooltip("seconds:Q", format=",.0f"),
        alt.Tooltip("labeled:Q", title="labeled images", format=",d"),
        alt.Tooltip("mean:Q", title=section.metric_title, format=f".{section.decimals}f"),
    ]
    seconds = alt.X("seconds:Q", title="seconds of training and selection so far", axis=alt.Axis(grid=False))
    score = alt.Y("mean:Q", title=section.metric_title).scale(zero=False, nice=False, padding=PADDING_PIXELS)
    base = shown(rows).encode(x=seconds.scale(zero=False), y=score, **looks)
    layers = [base.mark_line(strokeWidth=2), dots(base, tooltip)]
    return alt.LayerChart(layer=layers).add_params(hidden_at_first(section))


def _tooltip(section: Section) -> list[alt.Tooltip]:
    digits = f".{section.decimals}f"
    return [
        alt.Tooltip("strategy:N", title="strategy"),
        alt.Tooltip("labeled:Q", title="labeled images", format=",d"),
        alt.Tooltip("mean:Q", title=section.metric_title, format=digits),
        alt.Tooltip("lower:Q", title="95 % from", format=digits),
        alt.Tooltip("upper:Q", title="95 % to", format=digits),
        alt.Tooltip("seeds:Q", title="seeds", format="d"),
    ]


def _published_layers(
    published: Sequence[Published], drawn: dict[str, Style], looks: dict[str, Any]
) -> list[alt.Chart]:
    rows = [
        {"strategy": strategy, "labeled": labeled, "mean": score, "source": each.title}
        for each in published
        for strategy, scores in each.scores.items()
        if strategy in drawn
        for labeled, score in zip(each.labeled, scores, strict=True)
    ]
    tooltip = [
        "strategy:N",
        alt.Tooltip("labeled:Q", format=",d"),
        alt.Tooltip("mean:Q", title="published"),
        "source:N",
    ]
    base = shown(rows).encode(
        x="labeled:Q", y=alt.Y("mean:Q").scale(zero=False), color=looks["color"], detail="source:N"
    )
    return [
        base.mark_line(strokeWidth=1, opacity=0.7, strokeDash=[1, 3]),
        base.mark_point(size=14, opacity=0.9, shape="cross").encode(tooltip=tooltip),
    ]


def published_chart(published: Sequence[Published], drawn: dict[str, Style]) -> alt.LayerChart:
    """Published curves alone, where no run of ours is comparable."""
    layers = _published_layers(published, drawn, look(drawn))
    layers[0] = layers[0].encode(x=alt.X("labeled:Q", title="labeled images", axis=alt.Axis(format=",d", grid=False)))
    layers[0] = layers[0].encode(y=alt.Y("mean:Q", title="published score").scale(zero=False))
    return alt.LayerChart(layer=layers).add_params(alt.param(name="hidden", value=[]))


def penalty_chart(section: Section) -> alt.LayerChart:
    """How often rows beat columns, as a heat map, the best first."""
    found = section.penalties
    names = list(found.strategies)
    cells = [
        {"row": row, "column": column, "wins": None if math.isnan(found.wins[i, j]) else float(found.wins[i, j])}
        for i, row in enumerate(names)
        for j, column in enumerate(names)
        if i != j
    ]
    base = alt.Chart(alt.Data(values=cells)).encode(
        x=alt.X("column:N", title="loses", sort=names, axis=alt.Axis(labelAngle=-90, orient="top", labelLimit=180)),
        y=alt.Y("row:N", title="wins", sort=names, axis=alt.Axis(labelLimit=180)),
        tooltip=["row:N", "column:N", alt.Tooltip("wins:Q", title="share of rounds", format=".2f")],
    )
    color = alt.Color("wins:Q", legend=alt.Legend(title="share of rounds", format=".1f")).scale(
        domain=[0, 1], scheme="viridis"
    )
    layers = [base.mark_rect().encode(color=color)]
    side = CELL_PIXELS * len(names)
    return alt.LayerChart(layer=layers).properties(width=side, height=side)


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
        alt.Tooltip("mean:Q", title=f"area minus {BASELINE}", format=digits),
        alt.Tooltip("lower:Q", title="95 % from", format=digits),
        alt.Tooltip("upper:Q", title="95 % to", format=digits),
    ]
    base = shown(rows).encode(x=seconds, y=gain, color=looks["color"])
    rule = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 4], color=GREY).encode(y="zero:Q")
    front = alt.Chart(alt.Data(values=_front([each for each in rows if each["ranked"]], section.sign))).encode(
        x=seconds, y=gain, order="seconds:Q"
    )
    return alt.LayerChart(
        layer=[
            rule,
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


def group_chart(shares: Sequence[GroupShare], drawn: dict[str, Style]) -> alt.Chart:
    """What share of the picked images shows each group, beside random's."""
    rows = [each._asdict() for each in shares]
    order, names = (
        list(dict.fromkeys(each)) for each in zip(*((one.group, one.strategy) for one in shares), strict=True)
    )
    height = 2 * BAR_PIXELS * len(order)
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of picks", axis=alt.Axis(format="%", tickCount=5)),
            y=alt.Y("group:N", sort=order, title=None, axis=alt.Axis(labelLimit=140)),
            yOffset=alt.YOffset("strategy:N"),
            color=alt.Color("strategy:N", legend=None).scale(domain=names, range=[drawn[name].color for name in names]),
            tooltip=["group:N", "strategy:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=height)
    )


def page_spec(chart: alt.LayerChart | alt.Chart, described: str, **size: Any) -> dict[str, Any]:
    """A chart as Vega-Lite, as wide as its box unless it has a width."""
    return chart.properties(description=described, **size).to_dict()


def script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one classic script, in the version that the charts are written in."""
    version = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
