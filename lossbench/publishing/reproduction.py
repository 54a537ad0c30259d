"""Tables and pictures of docs/reproduction.md, made from the records: `python -m lossbench.publishing.reproduction`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from leaderboard.charts.pictures import save
from leaderboard.scoring.board import Board
from leaderboard.scoring.entries import ranking_accuracy
from leaderboard.scoring.sections import Section, Standing, sections
from leaderboard.scoring.statistics import NOTHING, Interval, interval, paired
from leaderboard.scoring.variations import variations, varied_strategies
from leaderboard.site.export import pictures
from leaderboard.site.tables import ABSENT, number
from lossbench.publishing.report import gathered

PAGE = Path("docs/reproduction.md")
TABLE = re.compile(r"(<!-- table: ([^;]+);[^\n]*-->)(?:\n\|[^\n]*)*")
"""A marker of the page, what it asks for, and the table below it."""
PICTURE = re.compile(r"\(reproduction/([a-z0-9-]+)\.svg\)")


def section(board: Board, task: str, track: str) -> Section:
    """The newest protocol of one task, on one track."""
    found = (each for each in board.sections if (each.key.protocol, each.key.track) == (task, track))
    return max(found, key=lambda each: each.key.version)


def spread(values: Interval, *, sign: bool = False) -> str:
    """A mean with half of its interval, where there is one."""
    half = f" ± {(values.upper - values.lower) / 2:.4f}" if values.lower == values.lower else ""
    return number(values.mean, 4, sign=sign) + half


def own_module(standing: Standing) -> str:
    """How well the module that a strategy brings and picks by ranks, where there is one."""
    own = number(standing.own_ranking.mean, 3)
    return "" if own == ABSENT else f" ({own})"


def standings(board: Board, task: str, track: str) -> list[Sequence[object]]:
    """One section's standings, and the score of the whole pool."""
    shown = section(board, task, track)
    rows: list[Sequence[object]] = [
        ("strategy", "seeds", "area", "last score", "against random", "ranking accuracy"),
        *(
            (
                each.strategy,
                each.seeds,
                spread(each.area),
                number(each.last.mean, 4),
                spread(each.to_baseline, sign=True),
                number(each.ranking.mean, 3) + own_module(each),
            )
            for each in shown.standings
        ),
    ]
    if shown.full_pool:
        score = number(shown.full_score.mean, 4)
        rows.append(("whole pool", len(shown.full_pool.records), ABSENT, score, ABSENT, ABSENT))
    return rows


def natives(board: Board, *tasks: str) -> list[Sequence[object]]:
    """What is trained as published, beside random picks in the shared recipe under the same seeds."""
    rows: list[Sequence[object]] = [("task", "strategy", "seeds", "area", "last score", "against random")]
    for task in tasks:
        shown = section(board, task, "native")
        rows += [
            (
                task,
                each.strategy,
                each.seeds,
                spread(each.area),
                number(each.last.mean, 4),
                spread(each.to_baseline, sign=True),
            )
            for each in shown.standings
        ]
        native, shared = shown.areas("random"), section(board, task, "shared").areas("random")
        with_lossnet = [shared[seed] for seed in sorted(native)]
        difference = spread(interval(paired(shared, native)), sign=True)
        rows.append(
            (task, "random, with lossnet", len(with_lossnet), spread(interval(with_lossnet)), ABSENT, difference)
        )
    return rows


def contrasts(board: Board) -> list[Sequence[object]]:
    """The comparisons that were named beforehand."""
    return [
        ("task", "comparison", "seeds", "area", "p", "p after Holm"),
        *(
            (
                each.key.protocol,
                f"{each.strategy} minus {each.baseline}",
                each.seeds,
                spread(each.difference, sign=True),
                number(each.p, 4),
                number(each.corrected, 4),
            )
            for each in board.contrasts
        ),
    ]


def validated(board: Board, task: str) -> Section:
    """The newest protocol of one task, on the slice that choices are made on."""
    found = sections(each for each in board.records if (each.protocol, each.split) == (task, "validation"))
    return max(found, key=lambda each: each.key.version)


def gate(board: Board, *tasks: str) -> list[Sequence[object]]:
    """How far random picks rise, in standard deviations between seeds: the root of the mean variance of the rounds."""
    rows: list[Sequence[object]] = [
        ("task", "metric", "seeds", "first round", "last round", "SD between seeds", "rise in SDs")
    ]
    for task in tasks:
        shown = validated(board, task)
        scores = np.array([record.score for record in shown.by_name["random"].records])
        first, *_, last = scores.mean(0)
        deviation = float(np.sqrt(scores.var(0, ddof=1).mean()))
        numbers = (number(first, 3), number(last, 3), number(deviation, 4), number((last - first) / deviation, 1))
        rows.append((f"{task}, protocol {shown.key.version}", shown.metric.name, len(scores), *numbers))
    return rows


def precisions(board: Board, *tasks: str) -> list[Sequence[object]]:
    """The areas of random picks in fp32 and in bf16, and their differences under the same seeds."""
    rows: list[Sequence[object]] = [("task", "seeds", "area in fp32", "in bf16", "bf16 minus fp32", "SD between seeds")]
    for task in tasks:
        full, half = (validated(board, each).by_name["random"].areas for each in (task, f"{task}-bf16"))
        seeds = sorted(full.keys() & half.keys())
        means = (number(mean(each[seed] for seed in seeds), 4) for each in (full, half))
        deviation = number(stdev(full[seed] for seed in seeds), 4)
        rows.append((task, len(seeds), *means, spread(interval(paired(half, full)), sign=True), deviation))
    return rows


def stress(board: Board, task: str) -> list[Sequence[object]]:
    """What each strategy gains over random in area, when the protocol is varied."""
    found = variations(board.sections, section(board, task, "shared"))
    return [
        ("strategy", *(each.name for each in found)),
        *(
            (name, *(spread(each.gains.get(name, NOTHING), sign=True) for each in found))
            for name in varied_strategies(found)
        ),
    ]


def ablation(board: Board, *tasks: str) -> list[Sequence[object]]:
    """What learning loss gains over random on the slice that choices are made on, and how well lossnet ranks.

    "Change" is how the difference itself differs from the first task's, under the same seeds.
    """
    header = ("area of random", "of learning-loss", "difference", "change", "ranking accuracy", "under learning-loss")
    rows: list[Sequence[object]] = [("task", "seeds", *header)]
    gains: list[dict[int, float]] = []
    for task in tasks:
        random, own = (validated(board, task).by_name[name] for name in ("random", "learning-loss"))
        seeds = sorted(random.areas.keys() & own.areas.keys())
        areas = [number(mean(each.areas[seed] for seed in seeds), 4) for each in (random, own)]
        rankings = [each.by_seed(lambda record: ranking_accuracy(record.rounds[-1])) for each in (random, own)]
        ranked = [number(mean(each[seed] for seed in seeds), 3) for each in rankings]
        gains.append({seed: own.areas[seed] - random.areas[seed] for seed in seeds})
        difference = spread(interval(list(gains[-1].values())), sign=True)
        change = spread(interval(paired(gains[-1], gains[0])), sign=True) if len(gains) > 1 else ABSENT
        rows.append((task, len(seeds), *areas, difference, change, *ranked))
    return rows


TABLES: dict[str, Callable[..., list[Sequence[object]]]] = {
    "standings": standings,
    "natives": natives,
    "contrasts": contrasts,
    "gate": gate,
    "precisions": precisions,
    "stress": stress,
    "ablation": ablation,
}


def table(board: Board, call: str) -> list[str]:
    """What a marker of the page asks for, as lines of Markdown."""
    name, *arguments = call.split()
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in TABLES[name](board, *arguments)]
    return [lines[0], re.sub("[^|]+", "---", lines[0]), *lines[1:]]


def rewritten(board: Board, page: str) -> str:
    """The page with the tables of these records."""
    return TABLE.sub(lambda found: "\n".join([found[1], *table(board, found[2])]), page)


def draw(board: Board, task: str, path: Path) -> Path:
    """What strategies gain over random on one task, beside what was published."""
    return save(dict(pictures(board, section(board, task, "shared")))["gains"], path)


def main() -> None:
    """Rewrite the page in place."""
    board = gathered(Path("leaderboard/records"), Path("configs/sweeps"), Path("leaderboard/submissions"))
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(rewritten(board, page), encoding="utf-8")
    for task in PICTURE.findall(page):
        draw(board, task, PAGE.parent / f"reproduction/{task}.svg")


if __name__ == "__main__":
    main()
