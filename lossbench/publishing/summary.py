"""The table and the picture of the README, from the committed records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from leaderboard.charts.pictures import curves_picture
from leaderboard.scoring.board import Board
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.sections import Section
from lossbench.publishing.reproduction import mean_and_interval, newest_section

FEWEST_SEEDS = 8
"""Strategies of fewer seeds are exploratory and stand in docs/reproduction.md alone."""


def summary(board: Board, *protocols: str) -> list[Sequence[object]]:
    """What each strategy gains over random in area, a column per protocol; strategies of eight seeds or more.

    Args:
        board: the records.
        protocols: names of protocols, newest versions, shared track.
    """
    sections = [newest_section(board, name, "shared") for name in protocols]
    standings = [{standing.strategy: standing for standing in section.standings} for section in sections]
    names = sorted(set.intersection(*(set(_planned(section)) for section in sections)) - {BASELINE})
    rows: list[Sequence[object]] = [
        ("strategy", *(f"{section.key.protocol}, {section.metric.name}" for section in sections)),
    ]
    return rows + [
        (name, *(mean_and_interval(by_name[name].to_baseline, sign=True) for by_name in standings)) for name in names
    ]


def learning_curves(board: Board, protocols: Sequence[str], path: Path) -> Path:
    """Draw the learning curves of the strategies of eight seeds, a panel per protocol."""
    sections = [newest_section(board, name, "shared") for name in protocols]
    return curves_picture([section.only(_planned(section)) for section in sections], path)


def _planned(section: Section) -> list[str]:
    return [standing.strategy for standing in section.standings if standing.seeds >= FEWEST_SEEDS]
