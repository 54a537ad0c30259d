"""The content of a section's page that is prepared for its template: charts, variations, what the data looks like."""

from __future__ import annotations

from typing import NamedTuple

from leaderboard.charts.curves import curve_chart
from leaderboard.charts.gains import gain_chart, is_drawable
from leaderboard.charts.marks import HEIGHT_PIXELS, Spec, initial_strategies
from leaderboard.charts.pareto import pareto_chart
from leaderboard.charts.styles import Style
from leaderboard.charts.variations import stress_chart
from leaderboard.charts.vega import page_spec
from leaderboard.schema.published import Published
from leaderboard.schema.upgrades import table_in
from leaderboard.scoring.board import Board, Sheet
from leaderboard.scoring.overall.groups import is_rendered, kind_of, regime_of
from leaderboard.scoring.sections import Section
from leaderboard.scoring.variations import Variation, variations, varied_strategies

PARETO_HEIGHT_PIXELS = 420
"""Taller than other charts: names stand beside its points."""


class TaskView(NamedTuple):
    """The charts of a section's page; None for a chart without data."""

    curves: Spec
    gains: Spec | None
    pareto: Spec | None
    """Gain over random by seconds of selection."""
    variations: list[Variation]
    varied: list[str]
    """The strategies with runs on the variations."""
    stress: Spec | None
    sources: list[Published]
    """The sources of the published curves on the page."""
    points: list[Published]
    """Those of single points that no chart shows, as they are far from the section's labels."""
    initial: list[str]
    """The strategies that are visible at first in the charts."""
    description: str
    """What the protocol is, in one sentence; empty if nobody says."""
    facts: list[tuple[str, str]]
    """What the task is made of: name and value."""
    examples: Sheet | None
    """Rendered scenes with their labels."""


def task_view(board: Board, section: Section, style_of: dict[str, Style]) -> TaskView:
    """The content of a section's page."""
    own = {name: style_of[name] for name in section.by_name}
    same, others = (board.published_for(section, same_protocol=same) for same in (True, False))
    title, metric = section.title, section.metric_title
    gains, columns = gain_chart(section, own, (*same, *others)), variations(board.sections, section)
    pareto = pareto_chart(section, own)

    def spec(chart: Spec, description: str, height: int = HEIGHT_PIXELS) -> Spec:
        return page_spec(chart, description, width="container", height=height)

    return TaskView(
        curves=spec(curve_chart(section, own, same), f"Learning curves of {title}: {metric} by labeled images."),
        gains=spec(gains, f"Gain over random on {title} by labeled images.") if gains else None,
        pareto=spec(pareto, f"Gain over random by seconds on {title}.", PARETO_HEIGHT_PIXELS) if pareto else None,
        variations=columns,
        varied=varied_strategies(columns),
        stress=spec(stress_chart(columns, style_of), f"Gain over random on {title} and its variations.")
        if columns
        else None,
        sources=[*same, *others],
        points=[source for source in (*same, *others) if not is_drawable(source, section)],
        initial=initial_strategies(section),
        description=board.descriptions.get(section.key.protocol, ""),
        facts=facts(section),
        examples=board.examples(section.records[0]),
    )


def facts(section: Section) -> list[tuple[str, str]]:
    """What a task is made of, from the records: kind, training, images, groups, budget."""
    record = section.records[0]
    model = table_in(table_in(record.config, "task"), "model")
    named = ", ".join(str(model[name]) for name in ("kind", "name", "config") if isinstance(model.get(name), str))
    pixels, groups = model.get("pixels"), record.group_names
    first = f"{section.labels[0]:,}"
    steps = f", then up to {section.labels[-1]:,} in {len(section.labels)} rounds" if len(section.labels) > 1 else ""
    found = [
        ("kind of task", kind_of(record.config)),
        ("model", f"{named or 'of the protocol'}, {regime_of(record.config)}"),
        ("images", "rendered scenes" if is_rendered(record.config) else "photographs"),
        ("size", f"{pixels} pixels" if isinstance(pixels, int) else ""),
        (f"{len(groups)} groups", ", ".join(groups)),
        ("labels", first + steps),
    ]
    return [(name, value) for name, value in found if value]
