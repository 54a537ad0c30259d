"""Writes the tables and pictures of docs/reproduction.md from the records: `lossbench leaderboard docs`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from leaderboard.charts.pictures import save
from leaderboard.schema.records import write_whole
from leaderboard.scoring.board import Board
from leaderboard.scoring.entries import ranking_accuracy
from leaderboard.scoring.sections import Section, Standing, sections
from leaderboard.scoring.statistics import NO_INTERVAL, Interval, interval, paired
from leaderboard.scoring.variations import variations, varied_strategies
from leaderboard.site.export import pictures
from leaderboard.site.tables import ABSENT, number, p_value
from lossbench.publishing.worth import worth

PAGE = "docs/reproduction.md"
TABLE = re.compile(r"(<!-- table: ([^;]+);[^\n]*-->)(?:\n\|[^\n]*)*")
"""A table of the page. Group 1 is its marker; group 2 is the call in the marker: a name of `TABLES` and its arguments."""
PICTURE = re.compile(r"\(reproduction/([a-z0-9-]+)\.svg\)")
"""A link to a picture of the page; group 1 is the name of its task."""
Rows = list[Sequence[object]]
"""A table: first the header, then its rows."""


def table(board: Board, call: str) -> list[str]:
    """A table as lines of Markdown.

    Args:
        board: the records.
        call: from a marker of the page, such as `standings cifar10-mini shared`.
    """
    name, *arguments = call.split()
    return markdown(TABLES[name](board, *arguments))


def markdown(rows: Sequence[Sequence[object]]) -> list[str]:
    """The header and the rows of a table as lines of Markdown."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return [lines[0], re.sub("[^|]+", "---", lines[0]), *lines[1:]]


def standings(board: Board, task: str, track: str) -> Rows:
    """The standings of a task and track, and the score of a model trained on the full pool."""
    section = newest_section(board, task, track)
    rows: Rows = [
        ("strategy", "seeds", "area", "last score", "against random", "ranking accuracy"),
        *(
            (
                standing.strategy,
                standing.seeds,
                mean_and_interval(standing.area),
                number(standing.last.mean, 4),
                mean_and_interval(standing.to_baseline, sign=True),
                number(standing.ranking.mean, 3) + _own_ranking(standing),
            )
            for standing in section.standings
        ),
    ]
    if section.full_pool:
        score = number(section.full_score.mean, 4)
        rows.append(("whole pool", len(section.full_pool.records), ABSENT, score, ABSENT, ABSENT))
    return rows


def native_standings(board: Board, *tasks: str) -> Rows:
    """The standings of the native track, with random picks in the shared track under the same seeds for comparison."""
    rows: Rows = [("task", "strategy", "seeds", "area", "last score", "against random")]
    for task in tasks:
        section = newest_section(board, task, "native")
        rows += [
            (
                task,
                standing.strategy,
                standing.seeds,
                mean_and_interval(standing.area),
                number(standing.last.mean, 4),
                mean_and_interval(standing.to_baseline, sign=True),
            )
            for standing in section.standings
        ]
        native, shared = section.areas("random"), newest_section(board, task, "shared").areas("random")
        areas = [shared[seed] for seed in sorted(native)]
        difference = mean_and_interval(interval(paired(shared, native)), sign=True)
        rows.append((task, "random, with lossnet", len(areas), mean_and_interval(interval(areas)), ABSENT, difference))
    return rows


def contrasts(board: Board, *sweeps: str) -> Rows:
    """The planned comparisons of some sweeps with their p-values."""
    return [
        ("task", "comparison", "seeds", "area", "p", "p after Holm"),
        *(
            (
                contrast.key.protocol,
                f"{contrast.strategy} minus {contrast.baseline}",
                contrast.seeds,
                mean_and_interval(contrast.difference, sign=True),
                p_value(contrast.p),
                p_value(contrast.corrected),
            )
            for contrast in board.contrasts
            if contrast.plan in sweeps
        ),
    ]


def rise_over_rounds(board: Board, *tasks: str) -> Rows:
    """How far the score of random picks rises from the first to the last round.

    The rise is given in standard deviations between seeds: the root of the variance between seeds, averaged over rounds.
    """
    rows: Rows = [("task", "metric", "seeds", "first round", "last round", "SD between seeds", "rise in SDs")]
    for task in tasks:
        section = _validation_section(board, task)
        scores = np.array([record.score for record in section.by_name["random"].records])
        first, *_, last = scores.mean(0)
        deviation = float(np.sqrt(scores.var(0, ddof=1).mean()))
        numbers = (number(first, 3), number(last, 3), number(deviation, 4), number((last - first) / deviation, 1))
        rows.append((f"{task}, protocol {section.key.version}", section.metric.name, len(scores), *numbers))
    return rows


def precisions(board: Board, *tasks: str) -> Rows:
    """The areas of random picks in fp32 and in bf16, and their differences under the same seeds."""
    rows: Rows = [("task", "seeds", "area in fp32", "in bf16", "bf16 minus fp32", "SD between seeds")]
    for task in tasks:
        fp32, bf16 = (_validation_section(board, name).by_name["random"].areas for name in (task, f"{task}-bf16"))
        seeds = sorted(fp32.keys() & bf16.keys())
        means = (number(mean(areas[seed] for seed in seeds), 4) for areas in (fp32, bf16))
        deviation = number(stdev(fp32[seed] for seed in seeds), 4)
        rows.append((task, len(seeds), *means, mean_and_interval(interval(paired(bf16, fp32)), sign=True), deviation))
    return rows


def gains_under_stress(board: Board, task: str) -> Rows:
    """The gain of each strategy over random in area, on a protocol and on each of its variations."""
    columns = variations(board.sections, newest_section(board, task, "shared"))
    return [
        ("strategy", *(column.name for column in columns)),
        *(
            (name, *(mean_and_interval(column.gains.get(name, NO_INTERVAL), sign=True) for column in columns))
            for name in varied_strategies(columns)
        ),
    ]


def ablation(board: Board, *tasks: str) -> Rows:
    """The gain of learning loss over random and the ranking accuracy of lossnet, on the validation split.

    The column "change" holds the gain minus that on the first task, under the same seeds; nothing where the label counts are others.
    """
    header = ("area of random", "of learning-loss", "difference", "change", "ranking accuracy", "under learning-loss")
    rows: Rows = [("task", "seeds", *header)]
    gains: list[dict[int, float]] = []
    found = [_validation_section(board, task) for task in tasks]
    for task, section in zip(tasks, found, strict=True):
        entries = [section.by_name[name] for name in ("random", "learning-loss")]
        random, learned = (entry.areas for entry in entries)
        seeds = sorted(random.keys() & learned.keys())
        areas = [number(mean(entry.areas[seed] for seed in seeds), 4) for entry in entries]
        by_seed = [entry.by_seed(lambda record: ranking_accuracy(record.rounds[-1])) for entry in entries]
        rankings = [number(mean(ranking[seed] for seed in seeds), 3) for ranking in by_seed]
        gains.append({seed: learned[seed] - random[seed] for seed in seeds})
        difference = mean_and_interval(interval(list(gains[-1].values())), sign=True)
        comparable = len(gains) > 1 and section.labels == found[0].labels
        change = mean_and_interval(interval(paired(gains[-1], gains[0])), sign=True) if comparable else ABSENT
        rows.append((task, len(seeds), *areas, difference, change, *rankings))
    return rows


TABLES: dict[str, Callable[..., Rows]] = {
    "standings": standings,
    "natives": native_standings,
    "contrasts": contrasts,
    "gate": rise_over_rounds,
    "precisions": precisions,
    "stress": gains_under_stress,
    "ablation": ablation,
    "worth": worth,
}
"""The functions that make the tables, by the names that markers of the page use."""


def newest_section(board: Board, task: str, track: str) -> Section:
    """The section of a task and track, on the test split and under the newest version of the protocol."""
    matching = (section for section in board.sections if (section.key.protocol, section.key.track) == (task, track))
    return max(matching, key=lambda section: section.key.version)


def _validation_section(board: Board, task: str) -> Section:
    """The section of a task on the validation split, under the newest version of the protocol."""
    records = (record for record in board.records if (record.protocol, record.split) == (task, "validation"))
    return max(sections(records), key=lambda section: section.key.version)


def mean_and_interval(values: Interval, *, sign: bool = False) -> str:
    """A mean and half the width of its interval; the mean alone if there is no interval.

    Args:
        values: the mean and the ends of its interval.
        sign: whether a positive mean gets a plus sign.
    """
    half = f" ± {(values.upper - values.lower) / 2:.4f}" if not math.isnan(values.lower) else ""
    return number(values.mean, 4, sign=sign) + half


def _own_ranking(standing: Standing) -> str:
    """Ranking accuracy, in parentheses, of the loss predictor that a strategy trains itself; empty if it trains none."""
    text = number(standing.own_ranking.mean, 3)
    return "" if text == ABSENT else f" ({text})"


def with_tables(board: Board, page: str) -> str:
    """The page's text with new tables."""
    return TABLE.sub(lambda match: "\n".join([match[1], *table(board, match[2])]), page)


def draw_gains(board: Board, task: str, path: Path) -> Path:
    """Write the chart of the gains over random on one task, beside the published ones."""
    return save(dict(pictures(board, newest_section(board, task, "shared")))["gains"], path)


def rewrite_reproduction(board: Board, root: Path) -> list[Path]:
    """Update the page and its pictures in place, and give their paths.

    Args:
        board: all that was run.
        root: the folder of the clone.
    """
    path = root / PAGE
    page = path.read_text(encoding="utf-8")
    write_whole(path, with_tables(board, page))
    return [
        path,
        *(draw_gains(board, task, path.parent / f"reproduction/{task}.svg") for task in PICTURE.findall(page)),
    ]
