"""The numbers of a board as tables: lists of rows with named columns, for CSV files and data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from leaderboard.scoring.board import Board
from leaderboard.scoring.overall.groups import SPANS
from leaderboard.scoring.picks import group_shares
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import NO_INTERVAL, Interval
from leaderboard.scoring.variations import variations, varied_strategies

Row = dict[str, Any]
THIRDS = ("first", "middle", "last")


def tables(board: Board) -> dict[str, list[Row]]:
    """All tables of a board, by name."""
    return {name: table(board, name) for name in TABLES}


def table(board: Board, name: str) -> list[Row]:
    """One table of a board; its name is one of `TABLES`."""
    return TABLES[name](board)


def ranks(board: Board) -> list[Row]:
    """A row per strategy, kind of task, regime and span of labels, with its overall rank; "all" stands for each of them."""
    return [
        {"kind": kind or "all", "regime": regime or "all", "labels": labels}
        | {"strategy": place.strategy, "rank": place.rank or None, "best_rank": place.best or None}
        | {"worst_rank": place.worst or None}
        | _columns("elo_above_random", place.points)
        | {"runs_won": place.won, "runs": place.runs, "protocols": place.protocols}
        for (kind, regime), rankings in board.rankings.items()
        for labels, found in zip(("all", *SPANS), rankings, strict=True)
        for place in (*found.places, *found.few)
    ]


def contrasts(board: Board) -> list[Row]:
    """A row per planned comparison."""
    return [
        contrast.key._asdict()
        | {"plan": contrast.plan, "strategy": contrast.strategy, "minus": contrast.baseline}
        | _columns("area_difference", contrast.difference)
        | {"seeds": contrast.seeds, "p_sign_flip": contrast.p, "p_holm": contrast.corrected}
        for contrast in board.contrasts
    ]


def standings(sections: Iterable[Section]) -> list[Row]:
    """A row per section and strategy, the best strategy first."""
    return _table(sections, _standings)


def curves(sections: Iterable[Section]) -> list[Row]:
    """A row per section, strategy and label count, with means over the seeds."""
    return _table(sections, _curves)


def _table(sections: Iterable[Section], rows: Callable[[Section], Iterable[Row]]) -> list[Row]:
    """The rows of all sections, each with the columns that identify its section."""
    return [_key(section) | row for section in sections for row in rows(section)]


def _key(section: Section) -> Row:
    return section.key._asdict() | {"metric": section.metric_title}


def _columns(name: str, values: Interval) -> dict[str, float]:
    return {name: values.mean, f"{name}_lower": values.lower, f"{name}_upper": values.upper}


def _thirds(name: str, values: Iterable[Interval]) -> dict[str, float]:
    """Columns of the first, the middle and the last third of a budget."""
    columns: dict[str, float] = {}
    for third, value in zip(THIRDS, values, strict=True):
        columns |= _columns(f"{name}_{third}_third", value)
    return columns


def _standings(section: Section) -> Iterator[Row]:
    for standing in section.standings:
        yield (
            {"strategy": standing.strategy, "rank": standing.rank, "seeds": standing.seeds}
            | _columns("area", standing.area)
            | {"area_for_rank": standing.level}
            | _columns("last", standing.last)
            | _columns("area_minus_random", standing.to_baseline)
            | _thirds("area", standing.thirds)
            | _thirds("area_minus_random", standing.thirds_to_baseline)
            | _columns("area_minus_learning_loss", standing.to_reference_method)
            | {"probability_of_improvement": standing.improvement}
            | _columns("normalized_gain", standing.gain)
            | _columns("labels_to_reach_random", standing.reach)
            | {"runs_that_reach_random": standing.reached}
            | _columns("ranking_accuracy", standing.ranking)
            | _columns("own_ranking_accuracy", standing.own_ranking)
            | {f"{name}_seconds": getattr(standing.costs, name) for name in ("fit", "forward", "score", "pick")}
            | {"peak_mebibytes": standing.costs.peak_mebibytes, "machine": str(section.hardware)}
        )


def _groups(section: Section) -> Iterator[Row]:
    for strategy in section.by_name:
        for share in group_shares(section, strategy):
            if share.strategy == strategy:  # `group_shares` adds random to every other strategy
                yield {"strategy": strategy, "group": share.group, "share_of_picks": share.share}


def _variations(board: Board, section: Section) -> Iterator[Row]:
    columns = variations(board.sections, section)
    for variation in columns:
        for name in varied_strategies(columns):
            gain, change = (values.get(name, NO_INTERVAL) for values in (variation.gains, variation.changes))
            row = {"variation": variation.name, "strategy": name}
            yield row | _columns("area_minus_random", gain) | _columns("minus_unvaried", change)


def _curves(section: Section) -> Iterator[Row]:
    for entry in section.entries:
        for point in entry.points:
            row = {"strategy": entry.strategy, "labeled": point.labeled, "seeds": point.seeds}
            yield row | _columns("score", point.score) | _columns("ranking_accuracy", point.ranking)


def _penalties(section: Section) -> Iterator[Row]:
    matrix = section.penalties
    for row, winner in enumerate(matrix.strategies):
        for column, loser in enumerate(matrix.strategies):
            if row != column:
                yield {"winner": winner, "loser": loser, "share_of_rounds": matrix.wins[row, column]}


def _overlaps(board: Board, section: Section) -> Iterator[Row]:
    shares = board.overlaps[section.key]
    for row, first in enumerate(section.entries):
        for column, second in enumerate(section.entries):
            if first is not second:
                share = float(shares[row, column])
                yield {"strategy": first.strategy, "other": second.strategy, "share_of_picks": share}


TABLES: dict[str, Callable[[Board], list[Row]]] = {
    "ranks": ranks,
    "standings": lambda board: standings(board.sections),
    "curves": lambda board: curves(board.sections),
    "penalties": lambda board: _table(board.sections, _penalties),
    "overlaps": lambda board: _table(board.sections, lambda section: _overlaps(board, section)),
    "groups": lambda board: _table(board.sections, _groups),
    "variations": lambda board: _table(board.sections, lambda section: _variations(board, section)),
    "contrasts": contrasts,
}
