"""The data of the page that compares strategies side by side: the scores of every run, overlaps of picks, and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.charts.styles import MARKS, Style
from leaderboard.scoring.board import Board
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.overall.groups import kind_of
from leaderboard.scoring.sections import Section
from leaderboard.site.links import section_link, strategy_link
from leaderboard.site.overview import plain


def compare_data(board: Board, style_of: Mapping[str, Style]) -> dict[str, Any]:
    """All sections with their runs, for the script of the page."""
    return {
        "baseline": BASELINE,
        "strategies": {name: {"link": strategy_link(name), **style_of[name]._asdict()} for name in board.names},
        "marks": MARKS,
        "sections": [_section_data(section, board.overlaps[section.key]) for section in board.sections],
    }


def _section_data(section: Section, shares: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "id": f"{section.key.protocol}-{section.key.version}-{section.key.track}",
        "title": section.title,
        "kind": kind_of(section.records[0].config),
        "link": section_link(section),
        "metric": section.metric_title,
        "decimals": section.decimals,
        "sign": section.sign,
        "labels": section.labels,
        "machine": str(section.hardware),
        "names": [entry.strategy for entry in section.entries],
        "scores": [
            {str(record.seed): [plain(score) for score in record.score] for record in entry.records}
            for entry in section.entries
        ],
        "overlaps": [[plain(share, 3) for share in row] for row in shares.tolist()],
        "seconds": [
            [plain(cost.forward), plain(cost.score), plain(cost.pick), plain(cost.fit), plain(cost.peak_mebibytes)]
            for cost in (entry.costs(section.hardware) for entry in section.entries)
        ],
    }
