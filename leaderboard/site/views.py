"""The content of the pages that is prepared for the templates: chart specifications, overlaps, contact sheets, sparklines."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import altair as alt

from leaderboard.charts.curves import curve_chart, published_chart, seconds_chart
from leaderboard.charts.gains import gain_chart
from leaderboard.charts.groups import group_chart
from leaderboard.charts.marks import HEIGHT_PIXELS, initial_strategies
from leaderboard.charts.pareto import pareto_chart
from leaderboard.charts.penalties import penalty_chart
from leaderboard.charts.styles import Style
from leaderboard.charts.variations import stress_chart
from leaderboard.charts.vega import page_spec
from leaderboard.schema.published import Published
from leaderboard.schema.records import Record
from leaderboard.scoring import picks
from leaderboard.scoring.board import Board, Sheet
from leaderboard.scoring.entries import BASELINE, REFERENCE_METHOD
from leaderboard.scoring.picks import GroupShare
from leaderboard.scoring.sections import Section, Standing
from leaderboard.scoring.variations import Variation, variations, varied_strategies

SMALL_HEIGHT_PIXELS = 220
Spec = dict[str, Any]
"""A chart as a Vega-Lite specification."""


class TaskView(NamedTuple):
    """The charts of a section's page; None for a chart without data."""

    curves: Spec
    gains: Spec | None
    seconds: Spec
    """Scores by seconds."""
    penalties: Spec | None
    pareto: Spec | None
    variations: list[Variation]
    """The base and its variations."""
    varied: list[str]
    """The strategies with runs on the variations."""
    stress: Spec | None
    published: Spec | None
    """Published curves of other experiments. Those of the section's own protocol are a part of `curves`."""
    sources: list[Published]
    """The sources of all published curves on the page."""
    initial: list[str]
    """The strategies that are visible at first in the charts."""


class Part(NamedTuple):
    """The part of a strategy's page about one section."""

    section: Section
    standing: Standing
    record: Record
    """The run with the lowest seed."""
    legend: list[str]
    """The strategies in the chart of learning curves."""
    curves: Spec
    groups: Spec | None
    shares: list[GroupShare]
    """The numbers of the chart of groups."""
    overlaps: list[tuple[str, float]]
    """The overlap with every other strategy."""
    seed_overlap: float
    """The overlap between the strategy's own runs under different seeds."""
    sheet: Sheet | None


def task_view(board: Board, section: Section, style_of: dict[str, Style]) -> TaskView:
    """The charts of a section's page."""
    own = {name: style_of[name] for name in section.by_name}
    same, others = (board.published_for(section, same_protocol=same) for same in (True, False))
    size = {"width": "container", "height": HEIGHT_PIXELS}
    title, metric = section.title, section.metric_title
    has_penalties = len(section.penalties.strategies) > 1 and section.penalties.rounds
    has_differences = any(not math.isnan(standing.to_baseline.mean) for standing in section.standings)
    gains, columns = gain_chart(section, own, (*same, *others)), variations(board.sections, section)

    def spec(chart: alt.LayerChart, description: str) -> Spec:
        return page_spec(chart, description, **size)

    return TaskView(
        curves=spec(curve_chart(section, own, same), f"Learning curves of {title}: {metric} by labeled images."),
        gains=spec(gains, f"Gain over random on {title} by labeled images.") if gains else None,
        seconds=spec(seconds_chart(section, own), f"{metric} of {title} by seconds of training and selection."),
        penalties=page_spec(penalty_chart(section), f"How often strategies beat each other on {title}.")
        if has_penalties
        else None,
        pareto=spec(pareto_chart(section, own), f"Gain over random by seconds on {title}.")
        if has_differences
        else None,
        variations=columns,
        varied=varied_strategies(columns),
        stress=spec(stress_chart(columns, style_of), f"Gain over random on {title} and its variations.")
        if columns
        else None,
        published=spec(published_chart(others, style_of), f"Published curves related to {section.key.protocol}.")
        if others
        else None,
        sources=[*same, *others],
        initial=initial_strategies(section),
    )


def strategy_parts(board: Board, strategy: str, style_of: dict[str, Style]) -> list[Part]:
    """The parts of a strategy's page, one per section with runs of the strategy."""
    return [_part(board, section, strategy, style_of) for section in board.sections if strategy in section.by_name]


def _part(board: Board, section: Section, strategy: str, style_of: dict[str, Style]) -> Part:
    entry, compared = section.by_name[strategy], section.only((strategy, BASELINE, REFERENCE_METHOD))
    shares = picks.group_shares(section, strategy)
    curves = curve_chart(compared, {name: style_of[name] for name in compared.by_name})
    curves_text = f"{strategy} on {section.title}: {section.metric_title} by labeled images."
    groups_text = f"Groups of the images that {strategy} picked on {section.title}."
    return Part(
        section=section,
        standing=next(standing for standing in section.standings if standing.strategy == strategy),
        record=entry.records[0],
        legend=list(compared.by_name),
        curves=page_spec(curves, curves_text, width="container", height=SMALL_HEIGHT_PIXELS),
        groups=page_spec(group_chart(shares, style_of), groups_text, width="container") if shares else None,
        shares=shares,
        overlaps=picks.overlaps(section, strategy),
        seed_overlap=picks.seed_overlap(entry),
        sheet=board.sheet(entry.records[0]),
    )

