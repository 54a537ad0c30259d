"""Which strategies are worth their cost, and what a setting changes: rows by hand."""

from __future__ import annotations

from fake_records import make_record

from leaderboard.scoring.board import Board
from leaderboard.site.tables import ABSENT
from lossbench.publishing.reproduction import ablation
from lossbench.publishing.worth import worth

NAMES = ("ours", "theirs", "mine", "yours", "its")


def test_the_unbeaten_strategies_beyond_the_third_are_counted() -> None:
    gains = (0.0, 0.1, 0.2, 0.1, 0.0)  # by seed; no two strategies are clearly apart
    records = [make_record((10.0, 20.0), seed=seed) for seed in range(5)]
    for place, name in enumerate(NAMES):
        turned = (*gains[place:], *gains[:place])
        records += [
            make_record((11.0 + gain, 21.0 + gain), strategy=name, seed=seed) for seed, gain in enumerate(turned)
        ]
    _, (_, few, *_) = worth(Board(records))
    assert few.startswith("100 to 133: ")
    assert few.endswith(", and 2 more")
    assert few.count("+1.080") == 3


def test_a_change_is_shown_over_the_same_labels_alone() -> None:
    records = []
    for task, scores in (("base", (10.0, 20.0)), ("same", (10.0, 20.0)), ("longer", (10.0, 20.0, 30.0))):
        for seed in range(2):
            learned = tuple(score - 1 - seed for score in scores)
            records += [
                make_record(scores, protocol=task, seed=seed, split="validation"),
                make_record(learned, protocol=task, seed=seed, split="validation", strategy="learning-loss"),
            ]
    header, *rows = ablation(Board(records), "base", "same", "longer")
    place = header.index("change")
    assert [str(row[place])[:7] for row in rows] == [ABSENT, "+0.0000", ABSENT]
