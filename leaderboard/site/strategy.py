"""The content of a strategy's page that is prepared for its template: results on all protocols, a figure, its picks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import groupby
from typing import Literal, NamedTuple

from leaderboard.charts.panels import Panel, gain_panel
from leaderboard.charts.styles import Style
from leaderboard.schema.records import Record
from leaderboard.scoring import picks
from leaderboard.scoring.board import Board, Sheet
from leaderboard.scoring.entries import BASELINE, FEWEST_SEEDS, REFERENCE_METHOD
from leaderboard.scoring.overall.answers import is_clear
from leaderboard.scoring.overall.groups import Regime, kind_of, regime_of
from leaderboard.scoring.sections import Section, Standing

Verdict = Literal["better", "worse", "not clear", "not compared"]
MOST_OVERLAPS = 6


class GroupRow(NamedTuple):
    """The share of a group in the picks."""

    group: str
    share: float
    of_random: float
    """The share in random's picks; NaN if there are none."""


class Part(NamedTuple):
    """The results of a strategy in one section, and what it picked there."""

    section: Section
    standing: Standing
    kind: str
    regime: Regime
    verdict: Verdict
    """Whether the area is clearly better or worse than random's under the same seeds."""
    record: Record
    """The run with the lowest seed."""
    groups: list[GroupRow]
    overlaps: list[tuple[str, float]]
    """The strategies whose picks have most in common with these."""
    seed_overlap: float
    """The overlap between the strategy's own runs under different seeds."""
    sheet: Sheet | None


class StrategyView(NamedTuple):
    """The content of a strategy's page."""

    parts: list[Part]
    panels: list[tuple[Section, Panel]]
    settings: list[tuple[dict[str, object], list[Part]]]
    """Hyper-parameters, and the sections that were run with them."""

    def with_verdict(self, verdict: Verdict) -> list[Part]:
        """The parts with a verdict, in their order."""
        return [part for part in self.parts if part.verdict == verdict]


def strategy_view(board: Board, strategy: str, style_of: Mapping[str, Style]) -> StrategyView:
    """The content of a strategy's page."""
    own = [section for section in board.sections if strategy in section.by_name]
    parts = [_part(board, section, strategy) for section in own]
    panels = [(section, gain_panel(section, (strategy, REFERENCE_METHOD), style_of)) for section in own]
    known = [(section, panel) for section, panel in panels if panel and _draws(panel, strategy)]
    by_settings = sorted(parts, key=lambda part: repr(part.record.strategy_config))
    settings = [[*group] for _, group in groupby(by_settings, key=lambda part: repr(part.record.strategy_config))]
    return StrategyView(parts, known, [(dict(group[0].record.strategy_config), group) for group in settings])


def _draws(panel: Panel, strategy: str) -> bool:
    return any(line.strategy == strategy for line in panel.lines)


def verdict_of(section: Section, standing: Standing) -> Verdict:
    """Whether a strategy is clearly better or worse than random in a section; fewer than five paired runs do not say."""
    gain = standing.to_baseline
    if standing.pairs[0] < FEWEST_SEEDS or math.isnan(gain.lower):
        return "not compared"
    if is_clear(gain, section.sign):
        return "better"
    return "worse" if is_clear(gain, -section.sign) else "not clear"


def _part(board: Board, section: Section, strategy: str) -> Part:
    entry = section.by_name[strategy]
    standing = next(each for each in section.standings if each.strategy == strategy)
    config = entry.records[0].config
    return Part(
        section=section,
        standing=standing,
        kind=kind_of(config),
        regime=regime_of(config),
        verdict=verdict_of(section, standing),
        record=entry.records[0],
        groups=group_rows(section, strategy),
        overlaps=picks.overlaps(section, strategy, board.overlaps[section.key])[:MOST_OVERLAPS],
        seed_overlap=picks.seed_overlap(entry),
        sheet=board.sheet(entry.records[0]),
    )


def group_rows(section: Section, strategy: str) -> list[GroupRow]:
    """The groups of the picks, beside those of random."""
    shares = {(share.strategy, share.group): share.share for share in picks.group_shares(section, strategy)}
    return [
        GroupRow(group, share, shares.get((BASELINE, group), math.nan))
        for (name, group), share in shares.items()
        if name == strategy
    ]
