"""Charts: one definition of the learning curves, for the page (Vega-Lite) and for pictures (PNG)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import vl_convert

from leaderboard.records import Record, RecordError
from leaderboard.scores import Section, sections

# Okabe & Ito (2008), "Color universal design": told apart under every common color vision. Their black is a grey here,
# seen on white and on black paper alike; their yellow is left out, for it is faint on white.
GREY, BLUE, VERMILLION, GREEN = "#868686", "#0072B2", "#D55E00", "#009E73"
PURPLE, SKY, ORANGE = "#CC79A7", "#56B4E9", "#E69F00"
PALETTE = (GREY, BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE)
DASHES = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2))
"""Line patterns; the palette starts again with the next one when it runs out."""
HEIGHT_PIXELS, WIDTH_PIXELS = 300, 340
SPACING_PIXELS, PADDING_PIXELS = 80, 12
CHARTS_IN_A_ROW, LEGEND_COLUMNS = 3, 3
BAND_OPACITY = 0.14


FEWEST_BAND_SEEDS = 3
"""With two seeds a 95 % interval reaches 12.7 standard errors either way: the tables give it, a chart cannot show it."""


class Style(NamedTuple):
    """How a strategy is drawn wherever it appears."""

    color: str
    dash: tuple[int, ...]


RESERVED = {
    "random": Style(GREY, DASHES[0]),
    "learning-loss": Style(VERMILLION, DASHES[0]),
    "entropy": Style(BLUE, DASHES[0]),
    "core-set": Style(GREEN, DASHES[0]),
    "badge": Style(PURPLE, DASHES[0]),
}


def styles(strategies: Iterable[str]) -> dict[str, Style]:
    """A style for each strategy: its own where one is reserved, otherwise the next free one, in the order of names."""
    names = sorted(set(strategies))
    every = [Style(color, dash) for dash in DASHES for color in PALETTE]
    free = [style for style in every if style not in RESERVED.values()]
    strangers = [name for name in names if name not in RESERVED]
    given = {name: free[place % len(free)] for place, name in enumerate(strangers)}
    return {name: given.get(name) or RESERVED[name] for name in names}


def curve_chart(section: Section, drawn: dict[str, Style], *, legend_columns: int = 0) -> alt.LayerChart:
    """Score by labels, a color a strategy: lines through the means, bands for 95 % intervals from three seeds on."""
    names = list(drawn)
    legend = alt.Legend(
        title=None,
        orient="bottom",
        columns=legend_columns,
        symbolType="stroke",
        symbolStrokeWidth=2.5,
        symbolOpacity=1,
        symbolFillColor="transparent",
        labelFontSize=12,
        symbolLimit=0,
    )
    shown = legend if legend_columns else None
    dashes = [list(style.dash) for style in drawn.values()]
    color = alt.Color("strategy:N", legend=shown).scale(domain=names, range=[style.color for style in drawn.values()])
    dash = alt.StrokeDash("strategy:N", legend=shown).scale(domain=names, range=dashes)
    labels = alt.X("labeled:Q", title="labeled images", axis=alt.Axis(values=section.labels, format=",d", grid=False))
    labels = labels.scale(zero=False, nice=False, padding=PADDING_PIXELS)
    score = alt.Y("score:Q", title=section.metric_title).scale(zero=False, nice=False, padding=PADDING_PIXELS)
    data = section.summary[["strategy", "labeled", "score", "lower", "upper", "seeds"]]
    # Every layer carries both channels: Vega-Lite merges their legends into one only then.
    lines = alt.Chart(data).encode(x=labels, y=score, color=color, strokeDash=dash)
    bands = alt.Chart(data.query("seeds >= @FEWEST_BAND_SEEDS").dropna()).encode(x=labels, color=color, strokeDash=dash)
    layers = [
        bands.mark_area(opacity=BAND_OPACITY).encode(
            y=alt.Y("lower:Q").scale(zero=False, nice=False, padding=PADDING_PIXELS), y2="upper:Q"
        ),
        lines.mark_line(strokeWidth=2),
        lines.mark_point(filled=True, size=46, opacity=1).encode(tooltip=_tooltip(section)),
    ]
    return alt.LayerChart(layer=layers)


def _tooltip(section: Section) -> list[alt.Tooltip]:
    digits = f".{section.decimals}f"
    return [
        alt.Tooltip("strategy:N", title="strategy"),
        alt.Tooltip("labeled:Q", title="labeled images", format=",d"),
        alt.Tooltip("score:Q", title=section.metric_title, format=digits),
        alt.Tooltip("lower:Q", title="95 % from", format=digits),
        alt.Tooltip("upper:Q", title="95 % to", format=digits),
        alt.Tooltip("seeds:Q", title="seeds", format="d"),
    ]


def curve_spec(section: Section, drawn: dict[str, Style]) -> dict[str, Any]:
    """The chart as Vega-Lite, as wide as its box; without a legend, which the page writes itself."""
    chart = curve_chart(section, drawn)
    described = f"Learning curves of {section.title}: {section.metric_title} by labeled images."
    return chart.properties(width="container", height=HEIGHT_PIXELS, description=described).to_dict()


def script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one classic script, in the version that the charts are written in."""
    version = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)


def curves_png(records: Sequence[Record], path: Path) -> Path:
    """Draw the learning curves of every section into one picture, side by side.

    Raises:
        RecordError: there is no complete record to draw.
    """
    found = sections(records)
    if not found:
        msg = f"{path}: no complete record to draw; finish a run first"
        raise RecordError(msg)
    drawn = styles(record.strategy for section in found for record in section.records)
    in_a_row = min(len(found), CHARTS_IN_A_ROW)
    charts = [
        curve_chart(section, drawn, legend_columns=LEGEND_COLUMNS * in_a_row).properties(
            width=WIDTH_PIXELS, height=HEIGHT_PIXELS, title=section.title
        )
        for section in found
    ]
    whole = alt.concat(*charts, columns=in_a_row, spacing=SPACING_PIXELS, bounds="flush")
    whole = whole.resolve_scale(color="shared", strokeDash="shared").configure_view(stroke=None)
    whole = whole.configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e6e6e6")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        whole.save(beside, format="png", scale_factor=2)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
