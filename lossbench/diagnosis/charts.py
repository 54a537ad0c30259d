"""Charts of diagnosed runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from leaderboard.charts.marks import style_encoding
from leaderboard.charts.pictures import save
from leaderboard.charts.styles import GRAY, styles
from leaderboard.schema.records import Phases
from leaderboard.scoring.entries import Key
from lossbench.diagnosis.examination import Diagnosis

PANEL_PIXELS, COLUMNS = 220, 3
MAX_POINTS = 1000
"""Points of a scatter plot; of more images, evenly spaced ones are drawn."""
LABEL_PIXELS = 240


def save_charts(diagnoses: Sequence[Diagnosis], folder: Path) -> Iterator[Path]:
    """Write all charts as PNG files: five for each protocol, track and split, and one scatter plot for each run.

    Yields:
        The path of each file, after it was written.
    """
    for key in dict.fromkeys(Key.of(diagnosis.record) for diagnosis in diagnoses):
        group = [diagnosis for diagnosis in diagnoses if Key.of(diagnosis.record) == key]
        ending = f"{key.protocol}-p{key.version}-{key.track}-{key.split}.png"
        charts = {
            "ranking": ranking_chart(group),
            "calibration": calibration_chart(group),
            "groups": group_chart(group),
            "overlap": overlap_chart(group),
            "seconds": seconds_chart(group),
        }
        for name, chart in charts.items():
            if chart is not None:
                yield save(chart, folder / f"{name}-{ending}")
        for diagnosis in group:
            scatter = loss_chart(diagnosis)
            if scatter is not None:
                yield save(scatter, folder / f"losses-{diagnosis.file_name}")


def _chart(rows: list[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=rows))


def _channels(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    """Color, dash and shape of each strategy, as Altair's encodings."""
    looks = style_encoding(styles({diagnosis.record.strategy for diagnosis in diagnoses}), legend_columns=COLUMNS)
    channels = {"color": alt.Color, "strokeDash": alt.StrokeDash, "shape": alt.Shape}
    return {name: channels[name].from_dict(look) for name, look in looks.items()}


def ranking_chart(diagnoses: Sequence[Diagnosis]) -> alt.LayerChart | None:
    """Ranking accuracy of lossnet by number of labels, one line per run; None if no run trained a lossnet."""
    rows = [
        {
            "run": diagnosis.label,
            "strategy": diagnosis.record.strategy,
            "labeled": one.labeled,
            "ranking": one.ranking_accuracy,
        }
        for diagnosis in diagnoses
        for one in diagnosis.rounds
        if one.predicted is not None
    ]
    if not rows:
        return None
    base = _chart(rows).encode(
        x=alt.X("labeled:Q", title="labeled images", axis=alt.Axis(grid=False)).scale(zero=False),
        y=alt.Y("ranking:Q", title="ranking accuracy").scale(zero=False),
        detail="run:N",
        **_channels(diagnoses),
    )
    chance = _chart([{"chance": 0.5}]).mark_rule(strokeDash=[4, 4], color=GRAY).encode(y="chance:Q")
    title = alt.TitleParams(
        f"Ranking accuracy of lossnet on held-out images of {diagnoses[0].record.protocol}",
        subtitle="share of pairs of images in the order of their losses; 0.5 is chance",
    )
    points = base.mark_point(filled=True, size=46, opacity=1).encode(strokeDash=alt.value([1, 0]), tooltip=["run:N"])
    chart = alt.LayerChart(layer=[chance, base.mark_line(), points])
    return chart.properties(title=title, width=2 * PANEL_PIXELS, height=PANEL_PIXELS)


def loss_chart(diagnosis: Diagnosis) -> alt.ConcatChart | None:
    """Predicted against true losses of the held-out images, one panel per round; None if no lossnet was trained."""
    panels = []
    for one in diagnosis.rounds:
        if one.predicted is None:
            continue
        count = len(one.losses)
        images = np.unique(np.linspace(0, count - 1, min(MAX_POINTS, count)).round().astype(int))
        rows = [{"true": float(one.losses[image]), "predicted": float(one.predicted[image])} for image in images]
        numbers = f"ranking {one.ranking_accuracy:.3f}, Spearman {one.rank_correlation:.3f}"
        panels.append(
            _chart(rows)
            .mark_circle(size=10, opacity=0.4)
            .encode(
                x=alt.X("true:Q", title="true loss"),
                y=alt.Y("predicted:Q", title="predicted loss").scale(zero=False),
            )
            .properties(title=f"{one.labeled:,} labels: {numbers}", width=PANEL_PIXELS, height=PANEL_PIXELS)
        )
    if not panels:
        return None
    title = f"{diagnosis.label} on {diagnosis.record.protocol}: predicted and true losses of held-out images"
    return alt.concat(*panels, columns=COLUMNS, title=title)


def calibration_chart(diagnoses: Sequence[Diagnosis]) -> alt.LayerChart:
    """Accuracy by confidence after the last round, one line per run; a calibrated model lies on the diagonal."""
    rows = [
        {"run": diagnosis.label, "strategy": diagnosis.record.strategy} | one._asdict()
        for diagnosis in diagnoses
        for one in diagnosis.rounds[-1].bins
    ]
    square = alt.Scale(domain=[0, 1])
    base = _chart(rows).encode(
        x=alt.X("confidence:Q", title="confidence", scale=square),
        y=alt.Y("accuracy:Q", title="accuracy", scale=square),
        detail="run:N",
        color=_channels(diagnoses)["color"],
    )
    ends = [{"confidence": end, "accuracy": end} for end in (0, 1)]
    diagonal = _chart(ends).mark_line(strokeDash=[4, 4], color=GRAY).encode(x="confidence:Q", y="accuracy:Q")
    points = base.mark_point(filled=True, opacity=0.9).encode(size=alt.Size("share:Q", legend=None))
    errors = ", ".join(f"{diagnosis.label} {diagnosis.rounds[-1].calibration_error:.3f}" for diagnosis in diagnoses)
    title = alt.TitleParams(
        f"Calibration on {diagnoses[0].record.protocol} after the last round",
        subtitle=f"expected calibration error: {errors}",
    )
    chart = alt.LayerChart(layer=[diagonal, base.mark_line(opacity=0.6), points])
    return chart.properties(title=title, width=1.5 * PANEL_PIXELS, height=1.5 * PANEL_PIXELS)


def group_chart(diagnoses: Sequence[Diagnosis]) -> alt.LayerChart | None:
    """Share of a run's picks that show each group, one bar per run; None if no record counts groups."""
    rows = []
    for diagnosis in diagnoses:
        counts = [one.group_counts for one in diagnosis.record.rounds if one.group_counts]
        total = len(diagnosis.record.picked)
        if counts and total:
            shares = np.sum(counts, 0) / total
            rows += [
                {"run": diagnosis.label, "group": name, "share": float(share)}
                for name, share in zip(diagnosis.record.group_names, shares, strict=True)
            ]
    if not rows:
        return None
    names = list(diagnoses[0].record.group_names)
    bars = (
        _chart(rows)
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of picks", axis=alt.Axis(format="%")),
            y=alt.Y("group:N", sort=names, title=None),
            yOffset="run:N",
            color=alt.Color("run:N", title=None, legend=alt.Legend(orient="bottom", columns=COLUMNS, symbolLimit=0)),
        )
    )
    height = max(8 * len(diagnoses) * len(names), PANEL_PIXELS)
    title = f"Groups among the picks on {diagnoses[0].record.protocol}"
    return alt.LayerChart(layer=[bars]).properties(title=title, width=2 * PANEL_PIXELS, height=height)


def overlap_chart(diagnoses: Sequence[Diagnosis]) -> alt.LayerChart | None:
    """The share of one run's picks (row) that another run (column) picked, too; None for a single run."""
    picked = {diagnosis.label: diagnosis.record.picked for diagnosis in diagnoses if diagnosis.record.picked}
    labels = list(picked)
    if len(labels) < 2:  # noqa: PLR2004 - a pair
        return None
    rows = [
        {"row": row, "column": column, "share": len(picked[row] & picked[column]) / len(picked[row])}
        for row in labels
        for column in labels
        if row != column
    ]
    top = alt.Axis(labelAngle=-90, orient="top", labelLimit=LABEL_PIXELS)
    base = _chart(rows).encode(
        x=alt.X("column:N", title=None, sort=labels, axis=top),
        y=alt.Y("row:N", title=None, sort=labels, axis=alt.Axis(labelLimit=LABEL_PIXELS)),
    )
    color = alt.Color("share:Q", legend=None).scale(domain=[0, 1], scheme="viridis")
    ink = alt.condition("datum.share > 0.5", alt.value("black"), alt.value("white"))
    text = base.mark_text(fontSize=10).encode(text=alt.Text("share:Q", format=".2f"), color=ink)
    side = 34 * len(labels)
    title = alt.TitleParams(
        f"Overlap of picks on {diagnoses[0].record.protocol}", subtitle="share of the row's picks that the column made"
    )
    chart = alt.LayerChart(layer=[base.mark_rect().encode(color=color), text])
    return chart.properties(title=title, width=side, height=side)


def seconds_chart(diagnoses: Sequence[Diagnosis]) -> alt.LayerChart:
    """The seconds of each run by phase."""
    phases = list(Phases.model_fields)
    rows = [
        {
            "run": diagnosis.label,
            "phase": phase,
            "seconds": sum(getattr(one.seconds, phase) for one in diagnosis.record.rounds),
        }
        for diagnosis in diagnoses
        for phase in phases
    ]
    bars = (
        _chart(rows)
        .mark_bar()
        .encode(
            x=alt.X("seconds:Q", title="seconds of the whole run"),
            y=alt.Y("run:N", title=None, axis=alt.Axis(labelLimit=LABEL_PIXELS)),
            color=alt.Color("phase:N", sort=phases, title=None).scale(domain=phases, scheme="tableau10"),
        )
    )
    title = f"Seconds on {diagnoses[0].record.protocol}, {diagnoses[0].record.machine.processor}"
    return alt.LayerChart(layer=[bars]).properties(title=title, width=2 * PANEL_PIXELS)
