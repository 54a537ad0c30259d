"""Small charts of the gain over random by labels, as SVG in the page itself: no script draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from markupsafe import Markup

from leaderboard.charts.gains import gains
from leaderboard.charts.marks import FEWEST_BAND_SEEDS
from leaderboard.charts.styles import MARKS, Style
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.sections import Section

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 54, 8, 8, 34
MOST_TICKS = 5
STEPS = (1, 2, 2.5, 5, 10)
"""Mantissas of tick distances."""


class Line(NamedTuple):
    """A strategy in a panel."""

    strategy: str
    last: float
    """The gain at the last label count."""
    reference: bool
    seeds: int


class Panel(NamedTuple):
    """A small chart of one section."""

    svg: Markup
    lines: tuple[Line, ...]
    """The strategies that are drawn, the largest last gain first."""
    text: str
    """What the chart shows, in words."""


class Scale(NamedTuple):
    """A linear map from numbers to pixels."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The pixel of a number."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.stop - self.start), 1)


def gain_panel(section: Section, strategies: Sequence[str], style_of: Mapping[str, Style]) -> Panel | None:
    """Gains over random by labels: lines for means, bands for 95 % intervals, a dashed line for random.

    Args:
        section: the section.
        strategies: the strategies to draw.
        style_of: the style of every strategy.

    Returns:
        None if no strategy shares a seed with random.
    """
    rows = gains(section, [name for name in strategies if name in section.by_name])
    if not rows:
        return None
    curves = {name: [*own] for name, own in groupby(rows, key=lambda row: row["strategy"])}
    lines = [
        Line(name, own[-1]["mean"], section.by_name[name].reference, own[-1]["seeds"]) for name, own in curves.items()
    ]
    lines.sort(key=lambda line: -section.sign * line.last)
    x = Scale(section.labels[0], section.labels[-1], LEFT, WIDTH - RIGHT)
    y = _gain_scale([row for row in rows if not section.by_name[row["strategy"]].reference] or rows)
    shapes = {
        line.strategy: _curve(curves[line.strategy], x, y, style_of[line.strategy], line.reference) for line in lines
    }
    lines = [line for line in lines if shapes[line.strategy]]
    drawn = [shapes[line.strategy] for line in reversed(lines)]
    number = f"{{:+.{section.decimals}f}}"
    described = ", ".join(f"{line.strategy} {number.format(line.last)}" for line in lines)
    text = (
        f"Gain over {BASELINE} in {section.metric_title} on {section.key.protocol}, from {section.labels[0]:,} to "
        f"{section.labels[-1]:,} labels. At the end: {described}."
    )
    content = Markup("").join([_axes(section, x, y), *drawn])
    svg = Markup('<svg class="panel" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return Panel(svg.format(WIDTH, HEIGHT, text, content), tuple(lines), text)


def _gain_scale(rows: Sequence[Mapping[str, Any]]) -> Scale:
    """The scale of gains: all means and zero, and of the bands what is not far beyond them.

    References may lie outside: their points there are not drawn.
    """
    means = [0.0, *(row["mean"] for row in rows)]
    spread = max(means) - min(means) or 1.0
    bounds = [
        min(max(row[end], min(means) - spread / 2), max(means) + spread / 2)
        for row in rows
        if row["seeds"] >= FEWEST_BAND_SEEDS
        for end in ("lower", "upper")
    ]
    return Scale(min([*means, *bounds]), max([*means, *bounds]), HEIGHT - BOTTOM, TOP)


def _curve(rows: Sequence[Mapping[str, Any]], x: Scale, y: Scale, style: Style, reference: bool) -> Markup:
    rows = [row for row in rows if TOP <= y(row["mean"]) <= HEIGHT - BOTTOM] if reference else rows
    if reference and len(rows) < 2:  # noqa: PLR2004 - one point is no line
        return Markup()
    points = " ".join(f"{x(row['labeled'])},{y(row['mean'])}" for row in rows)
    dash = "2 3" if reference else " ".join(map(str, style.dash))
    parts = [
        Markup('<polyline class="line" points="{}" stroke="{}" stroke-dasharray="{}"/>').format(
            points, style.color, dash if dash != "1 0" else "none"
        )
    ]
    if rows[0]["seeds"] >= FEWEST_BAND_SEEDS:
        clipped = [[min(max(y(row[end]), TOP), HEIGHT - BOTTOM) for row in rows] for end in ("upper", "lower")]
        places = [x(row["labeled"]) for row in rows]
        edge = [*zip(places, clipped[0], strict=True), *reversed([*zip(places, clipped[1], strict=True)])]
        band = " ".join(f"{across},{down}" for across, down in edge)
        parts.insert(0, Markup('<polygon class="band" points="{}" fill="{}"/>').format(band, style.color))
    dots = [_dot(row, x, y, style) for row in rows]
    return Markup("<g>{}</g>").format(Markup("").join([*parts, *dots]))


def _dot(row: Mapping[str, Any], x: Scale, y: Scale, style: Style) -> Markup:
    interval = "" if row["lower"] is None else f" ({row['lower']:+.4g} to {row['upper']:+.4g})"
    seeds = f"{row['seeds']} seed{'s' if row['seeds'] > 1 else ''}"
    text = f"{row['strategy']}, {row['labeled']:,} labels: {row['mean']:+.4g}{interval}, {seeds}"
    path = Markup('<path transform="translate({} {}) scale(.65)" d="{}" fill="{}"><title>{}</title></path>')
    return path.format(x(row["labeled"]), y(row["mean"]), MARKS[style.shape], style.color, text)


def _axes(section: Section, x: Scale, y: Scale) -> Markup:
    """Grid lines, tick labels, and the line of random at zero."""
    horizontal = Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>')
    parts = [Markup('<text class="unit" x="{}" y="{}">labels</text>').format(WIDTH - RIGHT, HEIGHT - 3)]
    values = ticks(y.low, y.high)
    digits = decimals(values)
    for value in values:
        parts.append(horizontal.format("grid" if value else "zero", LEFT, WIDTH - RIGHT, y(value), y(value)))
        label = f"{value:+.{digits}f}" if value else "0"
        text = Markup('<text class="y" x="{}" y="{}">{}</text>')
        parts.append(text.format(LEFT - 5, y(value) + 4, label.replace("-", "\N{MINUS SIGN}")))
    shown = (
        section.labels
        if len(section.labels) <= MOST_TICKS
        else [section.labels[place] for place in (0, len(section.labels) // 2, -1)]
    )
    for place, labeled in enumerate(shown):
        side = "start" if place == 0 else "end" if place == len(shown) - 1 else "middle"
        text = Markup('<text class="x" x="{}" y="{}" text-anchor="{}">{}</text>')
        parts.append(text.format(x(labeled), HEIGHT - BOTTOM + 16, side, f"{labeled:,}"))
    return Markup("").join(parts)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, zero among them if it lies between."""
    if not high > low:
        return [low]
    rough = (high - low) / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in STEPS if step * power >= rough * (1 - 1e-9))
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def decimals(values: Sequence[float]) -> int:
    """The decimal places that ticks need."""
    step = abs(values[1] - values[0]) if len(values) > 1 else abs(values[0]) or 1.0
    return next((digits for digits in range(8) if abs(round(step, digits) - step) < step / 1000), 8)
