"""The pictures of a diagnosis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from leaderboard.charts.marks import dots, look
from leaderboard.charts.pictures import save
from leaderboard.charts.styles import GREY, styles
from leaderboard.schema.records import Phases
from leaderboard.scoring.entries import Key
from leaderboard.scoring.picks import picks
from lossbench.diagnosis.examination import Diagnosis

PANEL_PIXELS, COLUMNS = 220, 3
MOST_POINTS = 1000
"""Of a scatter; more are thinned evenly."""


def pictures(found: Sequence[Diagnosis], folder: Path) -> Iterator[Path]:
    """Draw what a diagnosis found: a picture per question and task protocol, and one scatter per run."""
    for key in dict.fromkeys(Key.of(each.record) for each in found):
        own = [each for each in found if Key.of(each.record) == key]
        ending = f"{key.protocol}-p{key.version}-{key.track}-{key.split}.png"
        drawn = {
            "ranking": ranking_chart(own),
            "calibration": calibration_chart(own),
            "groups": group_chart(own),
            "overlap": overlap_chart(own),
            "seconds": seconds_chart(own),
        }
        for name, chart in drawn.items():
            if chart is not None:
                yield save(chart, folder / f"{name}-{ending}")
        for each in own:
            scatter = loss_chart(each)
            if scatter is not None:
                yield save(scatter, folder / f"losses-{each.file_name}")


def _values(rows: list[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=rows))


def _colors(found: Sequence[Diagnosis]) -> dict[str, Any]:
    return look(styles({each.record.strategy for each in found}), legend_columns=COLUMNS)


def ranking_chart(found: Sequence[Diagnosis]) -> alt.LayerChart | None:
    """Ranking accuracy of lossnet on the held-out images, a line a run; None where no run trains one."""
    rows = [
        {"run": each.name, "strategy": each.record.strategy, "labeled": one.labeled, "ranking": one.ranking}
        for each in found
        for one in each.rounds
        if one.predicted is not None
    ]
    if not rows:
        return None
    looks = _colors(found)
    base = _values(rows).encode(
        x=alt.X("labeled:Q", title="labeled images", axis=alt.Axis(grid=False)).scale(zero=False),
        y=alt.Y("ranking:Q", title="ranking accuracy").scale(zero=False),
        detail="run:N",
        **looks,
    )
    chance = _values([{"chance": 0.5}]).mark_rule(strokeDash=[4, 4], color=GREY).encode(y="chance:Q")
    title = f"Pairs of held-out images of {found[0].record.protocol} that lossnet orders as their losses; 0.5 is chance"
    chart = alt.LayerChart(layer=[chance, base.mark_line(), dots(base, ["run:N"])])
    return chart.properties(title=title, width=2 * PANEL_PIXELS, height=PANEL_PIXELS)


def loss_chart(found: Diagnosis) -> alt.ConcatChart | None:
    """Predicted against true loss of the held-out images, a panel a round; None without a lossnet."""
    panels = []
    for one in found.rounds:
        if one.predicted is None:
            continue
        kept = np.unique(np.linspace(0, len(one.losses) - 1, min(MOST_POINTS, len(one.losses))).round().astype(int))
        rows = [{"true": float(one.losses[place]), "predicted": float(one.predicted[place])} for place in kept]
        title = f"{one.labeled:,} labels: ranking {one.ranking:.3f}, Spearman {one.correlation:.3f}"
        panels.append(
            _values(rows)
            .mark_circle(size=10, opacity=0.4)
            .encode(
                x=alt.X("true:Q", title="true loss"),
                y=alt.Y("predicted:Q", title="predicted").scale(zero=False),
            )
            .properties(title=title, width=PANEL_PIXELS, height=PANEL_PIXELS)
        )
    if not panels:
        return None
    title = f"{found.name} on {found.record.protocol}: what lossnet predicts of held-out images"
    return alt.concat(*panels, columns=COLUMNS, title=title)


def calibration_chart(found: Sequence[Diagnosis]) -> alt.LayerChart:
    """Share of right predictions by confidence after the last round; on the diagonal the two agree."""
    rows = [
        {"run": each.name, "strategy": each.record.strategy} | one._asdict()
        for each in found
        for one in each.rounds[-1].bins
    ]
    looks = _colors(found)
    square = alt.Scale(domain=[0, 1])
    base = _values(rows).encode(
        x=alt.X("confidence:Q", title="confidence", scale=square),
        y=alt.Y("right:Q", title="share right", scale=square),
        detail="run:N",
        color=looks["color"],
    )
    ends = [{"confidence": each, "right": each} for each in (0, 1)]
    diagonal = _values(ends).mark_line(strokeDash=[4, 4], color=GREY).encode(x="confidence:Q", y="right:Q")
    points = base.mark_point(filled=True, opacity=0.9).encode(size=alt.Size("share:Q", legend=None))
    errors = ", ".join(f"{each.name} {each.rounds[-1].calibration_error:.3f}" for each in found)
    title = alt.TitleParams(
        f"Calibration on {found[0].record.protocol} after the last round",
        subtitle=f"expected calibration error: {errors}",
    )
    chart = alt.LayerChart(layer=[diagonal, base.mark_line(opacity=0.6), points])
    return chart.properties(title=title, width=1.5 * PANEL_PIXELS, height=1.5 * PANEL_PIXELS)


def group_chart(found: Sequence[Diagnosis]) -> alt.LayerChart | None:
    """Share of a run's picks that shows each group, a bar a run; None where no record counts groups."""
    rows = []
    for each in found:
        counted = [one.group_counts for one in each.record.rounds if one.group_counts]
        total = len(picks(each.record))
        if counted and total:
            shares = np.sum(counted, 0) / total
            rows += [
                {"run": each.name, "group": name, "share": float(share)}
                for name, share in zip(each.record.group_names, shares, strict=True)
            ]
    if not rows:
        return None
    order = list(found[0].record.group_names)
    bars = (
        _values(rows)
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of picks", axis=alt.Axis(format="%")),
            y=alt.Y("group:N", sort=order, title=None),
            yOffset="run:N",
            color=alt.Color("run:N", title=None, legend=alt.Legend(orient="bottom", columns=COLUMNS, symbolLimit=0)),
        )
    )
    height = max(8 * len(found) * len(order), PANEL_PIXELS)
    title = f"What was picked on {found[0].record.protocol}"
    return alt.LayerChart(layer=[bars]).properties(title=title, width=2 * PANEL_PIXELS, height=height)


def overlap_chart(found: Sequence[Diagnosis]) -> alt.LayerChart | None:
    """The share of the row's picks that the column made too; None for a single run."""
    chosen = {each.name: picks(each.record) for each in found if picks(each.record)}
    names = list(chosen)
    if len(names) < 2:  # noqa: PLR2004 - a pair
        return None
    rows = [
        {"row": row, "column": column, "share": len(chosen[row] & chosen[column]) / len(chosen[row])}
        for row in names
        for column in names
        if row != column
    ]
    base = _values(rows).encode(
        x=alt.X("column:N", title=None, sort=names, axis=alt.Axis(labelAngle=-90, orient="top", labelLimit=240)),
        y=alt.Y("row:N", title=None, sort=names, axis=alt.Axis(labelLimit=240)),
    )
    color = alt.Color("share:Q", legend=None).scale(domain=[0, 1], scheme="viridis")
    ink = alt.condition("datum.share > 0.5", alt.value("black"), alt.value("white"))
    text = base.mark_text(fontSize=10).encode(text=alt.Text("share:Q", format=".2f"), color=ink)
    side = 34 * len(names)
    title = f"Picks that runs on {found[0].record.protocol} have in common"
    return alt.LayerChart(layer=[base.mark_rect().encode(color=color), text]).properties(
        title=title, width=side, height=side
    )


def seconds_chart(found: Sequence[Diagnosis]) -> alt.LayerChart:
    """Where the seconds of a run went."""
    phases = list(Phases.model_fields)
    rows = [
        {"run": each.name, "phase": phase, "seconds": sum(getattr(one.seconds, phase) for one in each.record.rounds)}
        for each in found
        for phase in phases
    ]
    bars = (
        _values(rows)
        .mark_bar()
        .encode(
            x=alt.X("seconds:Q", title="seconds of the whole run"),
            y=alt.Y("run:N", title=None, axis=alt.Axis(labelLimit=240)),
            color=alt.Color("phase:N", sort=phases, title=None).scale(domain=phases, scheme="tableau10"),
        )
    )
    title = f"Seconds on {found[0].record.protocol}, {found[0].record.machine.processor}"
    return alt.LayerChart(layer=[bars]).properties(title=title, width=2 * PANEL_PIXELS)
