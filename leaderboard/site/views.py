"""What the pages show of a section and of a strategy, besides what a section says itself: charts, overlaps, pictures."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

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
from leaderboard.scoring.entries import BASELINE, REFERENCE_METHOD, Point
from leaderboard.scoring.picks import GroupShare
from leaderboard.scoring.sections import Section, Standing
from leaderboard.scoring.variations import Variation, variations, varied_strategies

SPARK_WIDTH, SPARK_HEIGHT = 72, 20
SMALL_HEIGHT_PIXELS = 220
Spec = dict[str, Any]
"""A chart as Vega-Lite."""


class TaskView(NamedTuple):
    """The charts of a section's page; None for one that has nothing to show."""

    curves: Spec
    gains: Spec | None
    spent: Spec
    penalties: Spec | None
    pareto: Spec | None
    variations: list[Variation]
    varied: list[str]
    """Strategies that were run on the variations."""
    stress: Spec | None
    published: Spec | None
    """Published curves of other protocols; those of the same one are drawn into `curves`."""
    sources: list[Published]
    """Where those are from, and the others."""
    shown: list[str]
    """Strategies that the charts begin with."""


class Part(NamedTuple):
    """What a strategy's page shows of one section."""

    section: Section
    standing: Standing
    record: Record
    """The run of the lowest seed."""
    legend: list[str]
    curves: Spec
    groups: Spec | None
    shares: list[GroupShare]
    overlaps: list[tuple[str, float]]
    seed_overlap: float
    sheet: Sheet | None


def task_view(board: Board, section: Section, style_of: dict[str, Style]) -> TaskView:
    """The charts of a section."""
    own = {name: style_of[name] for name in section.by_name}
    same, others = (board.published_for(section, same_protocol=same) for same in (True, False))
    wide = {"width": "container", "height": HEIGHT_PIXELS}
    title, metric = section.title, section.metric_title
    several = len(section.penalties.strategies) > 1
    gains = any(not math.isnan(each.to_baseline.mean) for each in section.standings)
    curves, spent = curve_chart(section, own, same), seconds_chart(section, own)
    gained = gain_chart(section, own, (*same, *others))
    found = variations(board.sections, section)
    under = f"Gain over random on {title} and its variations."
    related = f"Published curves related to {section.key.protocol}."
    beaten, pareto = f"How often strategies beat each other on {title}.", f"Gain over random by seconds on {title}."
    return TaskView(
        curves=page_spec(curves, f"Learning curves of {title}: {metric} by labeled images.", **wide),
        gains=page_spec(gained, f"Gain over random on {title} by labeled images.", **wide) if gained else None,
        spent=page_spec(spent, f"{metric} of {title} by seconds of training and selection.", **wide),
        penalties=page_spec(penalty_chart(section), beaten) if several and section.penalties.rounds else None,
        pareto=page_spec(pareto_chart(section, own), pareto, **wide) if gains else None,
        variations=found,
        varied=varied_strategies(found),
        stress=page_spec(stress_chart(found, style_of), under, **wide) if found else None,
        published=page_spec(published_chart(others, style_of), related, **wide) if others else None,
        sources=[*same, *others],
        shown=initial_strategies(section),
    )


def strategy_parts(board: Board, strategy: str, style_of: dict[str, Style]) -> list[Part]:
    """What a strategy's page shows of each section that it has runs in."""
    return [_part(board, section, strategy, style_of) for section in board.sections if strategy in section.by_name]


def _part(board: Board, section: Section, strategy: str, style_of: dict[str, Style]) -> Part:
    entry, few = section.by_name[strategy], section.only((strategy, BASELINE, REFERENCE_METHOD))
    shares = picks.group_shares(section, strategy)
    curves = curve_chart(few, {name: style_of[name] for name in few.by_name})
    described = f"{strategy} on {section.title}: {section.metric_title} by labeled images."
    shown = f"Groups of what {strategy} picked on {section.title}."
    return Part(
        section=section,
        standing=next(each for each in section.standings if each.strategy == strategy),
        record=entry.records[0],
        legend=list(few.by_name),
        curves=page_spec(curves, described, width="container", height=SMALL_HEIGHT_PIXELS),
        groups=page_spec(group_chart(shares, style_of), shown, width="container") if shares else None,
        shares=shares,
        overlaps=picks.overlaps(section, strategy),
        seed_overlap=picks.seed_overlap(entry),
        sheet=board.sheet(entry.records[0]),
    )


def sparkline(section: Section, strategy: str) -> str:
    """The mean curve as points of an SVG polyline, in a box that is the same for all strategies of a section."""
    means = [point.score.mean for entry in section.entries for point in entry.points]
    low, high = min(means), max(means)

    def place(point: Point) -> str:
        across = (point.labeled - section.labels[0]) / max(section.labels[-1] - section.labels[0], 1)
        up = (point.score.mean - low) / (high - low) if high > low else 0.5
        return f"{2 + across * (SPARK_WIDTH - 4):.1f},{SPARK_HEIGHT - 2 - up * (SPARK_HEIGHT - 4):.1f}"

    return " ".join(map(place, section.by_name[strategy].points))
