"""The page's tables as CSV and its charts as pictures, for papers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from leaderboard.charts.curves import (
    HEIGHT_PIXELS,
    curve_chart,
    pareto_chart,
    penalty_chart,
    seconds_chart,
    shown_first,
)
from leaderboard.charts.gains import gain_chart
from leaderboard.charts.pictures import LEGEND_COLUMNS, WIDTH_PIXELS, save
from leaderboard.charts.styles import styles
from leaderboard.charts.variations import stress_chart
from leaderboard.scoring.board import Board
from leaderboard.scoring.picks import group_shares, overlap
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import NOTHING, Interval
from leaderboard.scoring.variations import variations, varied_strategies

FORMATS = ("svg", "png")


def write(board: Board, folder: Path) -> list[Path]:
    """Write everything into a folder, and give what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, rows in _tables(board).items():
        paths.append(folder / f"{name}.csv")
        pd.DataFrame(rows).to_csv(paths[-1], index=False)
    for section in board.sections:
        stem = f"{section.key.protocol}-p{section.key.version}-{section.key.track}"
        for name, chart in pictures(board, section):
            paths += [save(chart, folder / f"{stem}-{name}.{each}") for each in FORMATS]
    return paths


def _tables(board: Board) -> dict[str, list[dict[str, Any]]]:
    found = board.sections
    return {
        "standings": [_key(each) | row for each in found for row in _standings(each)],
        "curves": [_key(each) | row for each in found for row in _points(each)],
        "penalties": [_key(each) | row for each in found for row in _penalties(each)],
        "overlaps": [_key(each) | row for each in found for row in _overlaps(each)],
        "groups": [_key(each) | row for each in found for row in _groups(each)],
        "variations": [_key(each) | row for each in found for row in _variations(board, each)],
        "contrasts": [
            each.key._asdict()
            | {"plan": each.plan, "strategy": each.strategy, "minus": each.baseline}
            | _columns("area_difference", each.difference)
            | {"seeds": each.seeds, "p_sign_flip": each.p, "p_holm": each.corrected}
            for each in board.contrasts
        ],
    }


def _key(section: Section) -> dict[str, Any]:
    return section.key._asdict() | {"metric": section.metric_title}


def _columns(name: str, values: Interval) -> dict[str, float]:
    return {name: values.mean, f"{name}_lower": values.lower, f"{name}_upper": values.upper}


def _standings(section: Section) -> Iterator[dict[str, Any]]:
    for each in section.standings:
        yield (
            {"strategy": each.strategy, "rank": each.rank, "seeds": each.seeds}
            | _columns("area", each.area)
            | _columns("last", each.last)
            | _columns("area_minus_random", each.to_baseline)
            | _columns("area_minus_learning_loss", each.to_paper)
            | {"probability_of_improvement": each.improvement}
            | _columns("normalized_gain", each.gain)
            | _columns("labels_to_reach_random", each.reach)
            | {"runs_that_reach_random": each.reached}
            | _columns("ranking_accuracy", each.ranking)
            | _columns("own_ranking_accuracy", each.own_ranking)
            | {f"{name}_seconds": getattr(each.costs, name) for name in ("fit", "forward", "score", "pick")}
            | {"peak_mebibytes": each.costs.peak_mebibytes, "machine": str(section.hardware)}
        )


def _groups(section: Section) -> Iterator[dict[str, Any]]:
    for strategy in section.by_name:
        for each in group_shares(section, strategy):
            if each.strategy == strategy:  # random stands beside all others
                yield {"strategy": strategy, "group": each.group, "share_of_picks": each.share}


def _variations(board: Board, section: Section) -> Iterator[dict[str, Any]]:
    found = variations(board.sections, section)
    for each in found:
        for name in varied_strategies(found):
            gain, change = (values.get(name, NOTHING) for values in (each.gains, each.changes))
            row = {"variation": each.name, "strategy": name}
            yield row | _columns("area_minus_random", gain) | _columns("minus_unvaried", change)


def _points(section: Section) -> Iterator[dict[str, Any]]:
    for entry in section.entries:
        for point in entry.points:
            row = {"strategy": entry.strategy, "labeled": point.labeled, "seeds": point.seeds}
            yield row | _columns("score", point.score) | _columns("ranking_accuracy", point.ranking)


def _penalties(section: Section) -> Iterator[dict[str, Any]]:
    found = section.penalties
    for row, winner in enumerate(found.strategies):
        for column, loser in enumerate(found.strategies):
            if row != column:
                yield {"winner": winner, "loser": loser, "share_of_rounds": found.wins[row, column]}


def _overlaps(section: Section) -> Iterator[dict[str, Any]]:
    for first in section.entries:
        for second in section.entries:
            if first is not second:
                shared = overlap(first, second)
                yield {"strategy": first.strategy, "other": second.strategy, "share_of_picks": shared}


def pictures(board: Board, section: Section) -> Iterator[tuple[str, alt.LayerChart]]:
    """Its charts by name. On paper few lines can be told apart: those that its charts begin with."""
    published = [each for same in (True, False) for each in board.published_for(section, same_protocol=same)]
    few = section.only(shown_first(section))
    drawn = styles(few.by_name)
    size = {"width": 2 * WIDTH_PIXELS, "height": HEIGHT_PIXELS}
    yield "curves", curve_chart(few, drawn, legend_columns=LEGEND_COLUMNS).properties(**size)
    if gained := gain_chart(few, drawn, published, legend_columns=LEGEND_COLUMNS):
        yield "gains", gained.properties(**size)
    yield "seconds", seconds_chart(few, drawn, legend_columns=LEGEND_COLUMNS).properties(**size)
    if varied := variations(board.sections, section):
        every = styles(varied_strategies(varied))
        yield "stress", stress_chart(varied, every, legend_columns=LEGEND_COLUMNS).properties(**size)
    yield "gain-seconds", pareto_chart(section, styles(section.by_name), everyone=True).properties(**size)
    yield "penalties", penalty_chart(section)
