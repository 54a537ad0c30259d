"""The content of the first page: answers, their picture, and the overall ranks as data for its script."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from leaderboard.charts.panels import Panel, gain_panel
from leaderboard.charts.styles import Style
from leaderboard.schema.badges import Badge
from leaderboard.scoring.board import Board
from leaderboard.scoring.entries import BASELINE, Hardware
from leaderboard.scoring.overall.answers import Answer, Choice, answers
from leaderboard.scoring.overall.groups import REGIMES, Group
from leaderboard.scoring.overall.ranks import FEWEST_RUNS, Place, Ranking
from leaderboard.scoring.sections import Section
from leaderboard.site.links import section_link, strategy_link
from leaderboard.site.tables import rough_seconds

MOST_LINES = 4
"""The ranked strategies in a small chart."""
LONG_COMMIT = re.compile(r"\b([0-9a-f]{7})[0-9a-f]{33}\b")
DIGITS = 5
"""Significant digits of the numbers in the page's data."""
Data = dict[str, Any]


class Source(NamedTuple):
    """Where the numbers of a protocol are from."""

    section: Section
    runs: int
    machines: tuple[Hardware, ...]
    commits: tuple[tuple[str, int], ...]
    """Every commit as pages show it, and how many runs it made."""


class Row(NamedTuple):
    """A row of the answers: a protocol."""

    group: Group
    section: Section
    answers: list[Answer]
    panel: Panel | None
    source: Source


def rows(board: Board, style_of: Mapping[str, Style]) -> list[Row]:
    """The rows of the answers; protocols without two label counts have none."""
    found = []
    for group in board.groups:
        for section in group.sections:
            if own := answers(section):
                panel = gain_panel(section, strategies_to_draw(section, own), style_of)
                found.append(Row(group, section, own, panel, source(section)))
    return found


def strategies_to_draw(section: Section, own: Sequence[Answer]) -> list[str]:
    """The strategies in a small chart: the answers, or what comes next to them, and the references."""
    best = [choice.strategy for answer in own for choice in answer.best]
    near = [choice.strategy for answer in own for choice in answer.undecided]
    early = [choice.strategy for answer in own for choice in answer.early]
    others = [choice.strategy for answer in own for choice in answer.shown]
    references = {entry.strategy for entry in section.entries if entry.reference}
    ranked = [*dict.fromkeys([*by_frequency(best), *by_frequency(near), *by_frequency(early), *others])]
    return [*ranked[:MOST_LINES], *sorted(references)]


def by_frequency(names: Sequence[str]) -> list[str]:
    """Names without repetition, the most frequent first."""
    return [name for name, _ in Counter(names).most_common()]


def source(section: Section) -> Source:
    """Where the numbers of a section are from."""
    commits = Counter(short(record.commit) for record in section.records)
    return Source(section, len(section.records), tuple(section.machines), tuple(commits.most_common()))


def short(commit: str) -> str:
    """What a record says of its commit, with the first seven digits of each: a clone that was changed says so."""
    return LONG_COMMIT.sub(r"\1", commit)


def cost_text(choice: Choice) -> str:
    """What a strategy costs, in words; empty if it is unknown."""
    if choice.costs is None:
        return ""
    selection, training = map(rough_seconds, (choice.costs.select, choice.costs.fit))
    return f"{selection} s a round, beside {training} s of training"


def table_data(board: Board, style_of: Mapping[str, Style]) -> Data:
    """The overall ranks for all kinds and regimes, and what the columns of their table show."""
    own = board.groups
    kinds = sorted({group.kind for group in own})
    regimes = [regime for regime in REGIMES if any(group.regime == regime for group in own)]
    return {
        "baseline": BASELINE,
        "fewest": FEWEST_RUNS,
        "kinds": kinds,
        "regimes": regimes,
        "strategies": {name: _strategy_data(board, name, style_of[name]) for name in board.names},
        "sections": [_section_data(group, section) for group in own for section in group.sections],
        "rankings": {"|".join(key): [_ranking_data(each) for each in found] for key, found in board.rankings.items()},
    }


def _ranking_data(found: Ranking) -> Data:
    rows = [_place_data(place) for place in (*found.places, *found.few)]
    return {"places": rows, "protocols": list(found.protocols)}


def _place_data(place: Place) -> list[Any]:
    """Strategy, rank, best and worst rank, points and their interval, runs won, runs, protocols."""
    points = [plain(value, 0) for value in place.points]
    return [place.strategy, place.rank, place.best, place.worst, *points, place.won, place.runs, place.protocols]


def _strategy_data(board: Board, name: str, style: Style) -> Data:
    about = board.about(name)
    return {
        "link": strategy_link(name),
        "color": style.color,
        "kind": about.kind,
        "year": about.year,
        "badge": _badge(board, name),
    }


def _badge(board: Board, name: str) -> str:
    """The state of a submission's badge where it covers all that ranks are computed from; empty for other strategies."""
    ranked = [section for group in board.groups for section in group.sections if name in section.by_name]
    badges = [badge for section in ranked if (badge := board.badge(section, name))]
    states = {badge.state for badge in badges}
    if len(states) > 1:
        return Badge().state
    return states.pop() if states else ""


def _section_data(group: Group, section: Section) -> Data:
    values = {
        standing.strategy: {
            "seconds": plain(standing.costs.select),
            "share": plain(standing.costs.select / standing.costs.fit) if standing.costs.fit else None,
            "seeds": standing.pairs[0],
            "gains": [
                [plain(value) for value in gain] for gain in (standing.to_baseline, *standing.thirds_to_baseline)
            ],
        }
        for standing in section.standings
    }
    return {
        "protocol": section.key.protocol,
        "version": section.key.version,
        "link": section_link(section),
        "kind": group.kind,
        "regime": group.regime,
        "metric": section.metric_title,
        "decimals": min(section.decimals, 3),
        "sign": section.sign,
        "values": values,
    }


def plain(value: float, places: int | None = None) -> float | None:
    """A number as JSON can hold it, rounded; None for NaN.

    Args:
        value: the number.
        places: the decimal places; by default `DIGITS` significant digits.
    """
    if math.isnan(value):
        return None
    return round(value, places) if places is not None else float(f"{value:.{DIGITS}g}")
