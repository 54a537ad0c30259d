"""The tables and pictures of docs/reproduction.md are those of the records."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest

from leaderboard.board import Board
from leaderboard.export import pictures
from leaderboard.pictures import save
from leaderboard.sections import Section, sections
from leaderboard.statistics import NOTHING, Interval, interval, paired
from leaderboard.stress import variations, varied_strategies
from leaderboard.tables import ABSENT, number
from lossbench.report import gathered

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/reproduction"
PAGE = (ROOT / "docs/reproduction.md").read_text(encoding="utf-8")


@cache
def board() -> Board:
    """All that was run."""
    return gathered(ROOT / "leaderboard/records", ROOT / "configs/sweeps", ROOT / "leaderboard/submissions")


def section(task: str, track: str) -> Section:
    """The newest protocol of one task, on one track."""
    found = (each for each in board().sections if (each.key.task, each.key.track) == (task, track))
    return max(found, key=lambda each: each.key.protocol)


def spread(values: Interval, *, sign: bool = False) -> str:
    """A mean with half of its interval, where there is one."""
    half = f" ± {(values.upper - values.lower) / 2:.4f}" if values.lower == values.lower else ""
    return number(values.mean, 4, sign=sign) + half


def standings(task: str, track: str) -> list[Sequence[object]]:
    """One section's standings, and the score of the whole pool."""
    shown = section(task, track)
    rows: list[Sequence[object]] = [
        ("strategy", "seeds", "area", "last score", "against random", "ranking accuracy"),
        *(
            (
                each.strategy,
                each.seeds,
                spread(each.area),
                number(each.last.mean, 4),
                spread(each.to_baseline, sign=True),
                number(each.ranking.mean, 3),
            )
            for each in shown.standings
        ),
    ]
    if shown.full_pool:
        score = number(shown.full_score.mean, 4)
        rows.append(("whole pool", len(shown.full_pool.records), ABSENT, score, ABSENT, ABSENT))
    return rows


def natives(*tasks: str) -> list[Sequence[object]]:
    """What is trained as published, beside random picks in the shared recipe under the same seeds."""
    rows: list[Sequence[object]] = [("task", "strategy", "seeds", "area", "last score", "against random")]
    for task in tasks:
        shown = section(task, "native")
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
        native, shared = shown.areas("random"), section(task, "shared").areas("random")
        with_lossnet = [shared[seed] for seed in sorted(native)]
        difference = spread(interval(paired(shared, native)), sign=True)
        rows.append(
            (task, "random, with lossnet", len(with_lossnet), spread(interval(with_lossnet)), ABSENT, difference)
        )
    return rows


def contrasts() -> list[Sequence[object]]:
    """The comparisons that were named beforehand."""
    return [
        ("task", "comparison", "seeds", "area", "p", "p after Holm"),
        *(
            (
                each.key.task,
                f"{each.strategy} minus {each.baseline}",
                each.seeds,
                spread(each.difference, sign=True),
                number(each.p, 4),
                number(each.corrected, 4),
            )
            for each in board().contrasts
        ),
    ]


def validated(task: str) -> Section:
    """The newest protocol of one task, on the slice that choices are made on."""
    found = sections(each for each in board().records if (each.task, each.split) == (task, "validation"))
    return max(found, key=lambda each: each.key.protocol)


def gate(*tasks: str) -> list[Sequence[object]]:
    """How far random picks rise, in standard deviations between seeds: the root of the mean variance of the rounds."""
    rows: list[Sequence[object]] = [
        ("task", "metric", "seeds", "first round", "last round", "SD between seeds", "rise in SDs")
    ]
    for task in tasks:
        shown = validated(task)
        scores = np.array([record.score for record in shown.by_name["random"].records])
        first, *_, last = scores.mean(0)
        deviation = float(np.sqrt(scores.var(0, ddof=1).mean()))
        numbers = (number(first, 3), number(last, 3), number(deviation, 4), number((last - first) / deviation, 1))
        rows.append((f"{task}, protocol {shown.key.protocol}", shown.metric.name, len(scores), *numbers))
    return rows


def precisions(*tasks: str) -> list[Sequence[object]]:
    """The areas of random picks in fp32 and in bf16, and their differences under the same seeds."""
    rows: list[Sequence[object]] = [("task", "seeds", "area in fp32", "in bf16", "bf16 minus fp32", "SD between seeds")]
    for task in tasks:
        full, half = (validated(each).by_name["random"].areas for each in (task, f"{task}-bf16"))
        seeds = sorted(full.keys() & half.keys())
        means = (number(mean(each[seed] for seed in seeds), 4) for each in (full, half))
        deviation = number(stdev(full[seed] for seed in seeds), 4)
        rows.append((task, len(seeds), *means, spread(interval(paired(half, full)), sign=True), deviation))
    return rows


def stress(task: str) -> list[Sequence[object]]:
    """What each strategy gains over random in area, when the protocol is varied."""
    found = variations(board().sections, section(task, "shared"))
    return [
        ("strategy", *(each.name for each in found)),
        *(
            (name, *(spread(each.gains.get(name, NOTHING), sign=True) for each in found))
            for name in varied_strategies(found)
        ),
    ]


TABLES: dict[str, Callable[..., list[Sequence[object]]]] = {
    "standings": standings,
    "natives": natives,
    "contrasts": contrasts,
    "gate": gate,
    "precisions": precisions,
    "stress": stress,
}


def table(call: str) -> list[str]:
    """What a marker of the page asks for, as lines of Markdown."""
    name, *arguments = call.split()
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in TABLES[name](*arguments)]
    return [lines[0], re.sub("[^|]+", "---", lines[0]), *lines[1:]]


@pytest.mark.parametrize("call", re.findall(r"<!-- table: ([^;]+);", PAGE))
def test_the_tables_are_those_of_the_records(call: str) -> None:
    _, after = PAGE.split(f"<!-- table: {call};")
    shown = [line for line in after.split("\n\n")[0].splitlines()[1:] if line.startswith("|")]
    wanted = table(call)
    assert shown == wanted, "write into docs/reproduction.md:\n" + "\n".join(wanted)


@pytest.mark.parametrize("task", re.findall(r"\(reproduction/([a-z0-9-]+)\.svg\)", PAGE))
def test_the_pictures_are_those_of_the_records(task: str, tmp_path: Path) -> None:
    drawn = save(dict(pictures(board(), section(task, "shared")))["gains"], tmp_path / "gains.svg")
    wanted, shown = (re.findall('aria-label="[^"]+"', path.read_text()) for path in (drawn, PICTURES / f"{task}.svg"))
    assert len(wanted) > 10
    assert shown == wanted, f"copy {task}-…-gains.svg of `lossbench export` to docs/reproduction/{task}.svg"
