"""The numbers of a board as tables: rows of named values, for CSV files and for data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from leaderboard.scoring.board import Board
from leaderboard.scoring.picks import group_shares, overlap
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import NOTHING, Interval
from leaderboard.scoring.variations import variations, varied_strategies

Row = dict[str, Any]


def tables(board: Board) -> dict[str, list[Row]]:
    """Every table of a board, by name."""
    found = board.sections
    return {
        "standings": standings(found),
        "curves": curves(found),
        "penalties": _together(found, _penalties),
        "overlaps": _together(found, _overlaps),
        "groups": _together(found, _groups),
        "variations": _together(found, lambda section: _variations(board, section)),
        "contrasts": [
            each.key._asdict()
            | {"plan": each.plan, "strategy": each.strategy, "minus": each.baseline}
            | _columns("area_difference", each.difference)
            | {"seeds": each.seeds, "p_sign_flip": each.p, "p_holm": each.corrected}
            for each in board.contrasts
        ],
    }


def standings(sections: Iterable[Section]) -> list[Row]:
    """A row for each strategy of each section, the best first."""
    return _together(sections, _standings)


def curves(sections: Iterable[Section]) -> list[Row]:
    """A row for each strategy and label count of each section: means over the seeds."""
    return _together(sections, _curves)


def _together(sections: Iterable[Section], rows: Callable[[Section], Iterable[Row]]) -> list[Row]:
    return [_key(section) | row for section in sections for row in rows(section)]


def _key(section: Section) -> Row:
    return section.key._asdict() | {"metric": section.metric_title}


def _columns(name: str, values: Interval) -> dict[str, float]:
    return {name: values.mean, f"{name}_lower": values.lower, f"{name}_upper": values.upper}


def _standings(section: Section) -> Iterator[Row]:
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


def _groups(section: Section) -> Iterator[Row]:
    for strategy in section.by_name:
        for each in group_shares(section, strategy):
            if each.strategy == strategy:  # random stands beside all others
                yield {"strategy": strategy, "group": each.group, "share_of_picks": each.share}


def _variations(board: Board, section: Section) -> Iterator[Row]:
    found = variations(board.sections, section)
    for each in found:
        for name in varied_strategies(found):
            gain, change = (values.get(name, NOTHING) for values in (each.gains, each.changes))
            row = {"variation": each.name, "strategy": name}
            yield row | _columns("area_minus_random", gain) | _columns("minus_unvaried", change)


def _curves(section: Section) -> Iterator[Row]:
    for entry in section.entries:
        for point in entry.points:
            row = {"strategy": entry.strategy, "labeled": point.labeled, "seeds": point.seeds}
            yield row | _columns("score", point.score) | _columns("ranking_accuracy", point.ranking)


def _penalties(section: Section) -> Iterator[Row]:
    found = section.penalties
    for row, winner in enumerate(found.strategies):
        for column, loser in enumerate(found.strategies):
            if row != column:
                yield {"winner": winner, "loser": loser, "share_of_rounds": found.wins[row, column]}


def _overlaps(section: Section) -> Iterator[Row]:
    for first in section.entries:
        for second in section.entries:
            if first is not second:
                shared = overlap(first, second)
                yield {"strategy": first.strategy, "other": second.strategy, "share_of_picks": shared}
