"""Answers: the strategies that nothing beats, with hand values."""

from __future__ import annotations

import math

import pytest
from fake_records import ACCURACY, make_record

from leaderboard.schema.records import Record
from leaderboard.scoring.overall.answers import Answer, answers, is_clear
from leaderboard.scoring.sections import sections
from leaderboard.scoring.statistics import Interval, interval


def runs(strategy: str, areas: list[float], **changes: object) -> list[Record]:
    return [make_record((area,) * 4, strategy=strategy, seed=seed, **changes) for seed, area in enumerate(areas)]


def answer(records: list[Record], span: int = 0) -> Answer:
    (section,) = sections(records)
    return answers(section)[span]


RANDOM = runs("random", [50.0, 51.0, 52.0, 53.0, 54.0])


def test_the_best_is_clear_of_random_and_nothing_beats_it() -> None:
    found = answer(
        [
            *RANDOM,
            *runs("first", [55.0, 56.1, 57.0, 58.0, 59.0]),
            *runs("second", [53.0, 54.1, 55.0, 56.0, 57.0]),
            *runs("wild", [40.0, 70.0, 40.0, 70.0, 55.0]),
            *runs("worse", [40.0, 41.0, 42.0, 43.0, 44.0]),
        ]
    )
    assert [choice.strategy for choice in found.best] == ["first"]
    assert [choice.strategy for choice in found.undecided] == ["wild"]
    assert [(choice.strategy, winner) for choice, winner in found.beaten] == [("second", "first"), ("worse", "first")]
    assert found.best[0].gain == pytest.approx(interval([5.0, 5.1, 5.0, 5.0, 5.0]))
    assert found.best[0].seeds == 5


def test_where_nothing_is_clear_of_random_there_is_no_best() -> None:
    found = answer(
        [*RANDOM, *runs("wild", [40.0, 70.0, 40.0, 70.0, 55.0]), *runs("worse", [49.0, 50.0, 51.0, 52.0, 53.0])]
    )
    assert found.best == ()
    assert [(choice.strategy, winner) for choice, winner in found.beaten] == [("worse", "random")]


def test_smaller_is_better_where_the_metric_says_so() -> None:
    error = ACCURACY.model_copy(update={"larger_is_better": False})
    areas = {
        name: [float(first + seed) for seed in range(5)]
        for name, first in (("random", 50), ("ours", 40), ("worse", 60))
    }
    found = answer([record for name, each in areas.items() for record in runs(name, each, metric=error)])
    assert [choice.strategy for choice in found.best] == ["ours"]
    assert [winner for _, winner in found.beaten] == ["ours"]


def test_thirds_of_the_budget_have_answers_of_their_own() -> None:
    records = [make_record((50.0, 50.0, 50.0, 50.0), seed=seed) for seed in range(5)]
    records += [make_record((60.0, 60.0, 50.0, 40.0), strategy="early", seed=seed) for seed in range(5)]
    (section,) = sections(records)
    few, some, many = answers(section)
    assert [choice.strategy for choice in few.best] == ["early"]
    assert few.best[0].gain.mean == 10
    assert (few.labels, some.labels, many.labels) == ((100, 200), (200, 300), (300, 400))
    assert many.beaten[0][1] == "random"


def test_fewer_than_five_runs_are_no_answer_and_references_say_nothing() -> None:
    fast, slow = runs("fast", [90.0, 91.0, 92.0, 93.0]), runs("slow", [40.0, 41.0, 42.0, 43.0])
    found = answer([*RANDOM, *fast, *slow, *runs("once", [60.0]), *runs("oracle", [90.0] * 5, reference=True)])
    assert found.shown == []
    assert [(choice.strategy, choice.gain.mean, choice.seeds) for choice in found.early] == [
        ("fast", 40.0, 4),
        ("once", 10.0, 1),
    ]
    assert answer([*RANDOM, *fast, make_record((94.0,) * 4, strategy="fast", seed=4)]).early == ()


def test_nothing_is_beaten_under_a_few_shared_seeds() -> None:
    ours = runs("ours", [60.0, 61.0, 62.0, 63.0, 64.0])
    better = [make_record((area,) * 4, strategy="better", seed=seed) for seed, area in ((3, 64.0), (4, 65.1))]
    others = [make_record((53.0,) * 4, strategy="better", seed=seed) for seed in range(5, 9)]
    random = [make_record((51.0,) * 4, seed=seed) for seed in range(5, 9)]
    found = answer([*RANDOM, *random, *ours, *better, *others])
    assert {choice.strategy for choice in found.best} | {choice.strategy for choice in found.undecided} == {
        "ours",
        "better",
    }
    assert found.beaten == ()


def test_the_cost_stands_beside_that_of_training() -> None:
    (choice,) = answer([*RANDOM, *runs("ours", [60.0] * 5)]).best
    assert choice.costs is not None
    assert (choice.costs.select, choice.costs.fit) == (1.0, 11.5)


@pytest.mark.parametrize(
    ("bounds", "sign", "clear"),
    [((0.1, 0.3), 1, True), ((-0.1, 0.3), 1, False), ((-0.3, -0.1), 1, False), ((-0.3, -0.1), -1, True)],
)
def test_clear_of_zero(bounds: tuple[float, float], sign: float, clear: bool) -> None:
    assert is_clear(Interval(0.2, *bounds), sign) is clear
    assert is_clear(Interval(0.2, math.nan, math.nan), sign) is False


def test_of_strategies_with_the_same_runs_one_is_a_choice() -> None:
    areas = [55.0, 56.1, 57.0, 58.0, 59.0]
    found = answer([*RANDOM, *runs("first", areas), *runs("again", areas[:4]), *runs("other", [*areas[:4], 59.5])])
    (choice, other) = sorted(found.best, key=lambda choice: choice.strategy)
    assert (choice.strategy, choice.twins) == ("first", ("again",))
    assert (other.strategy, other.twins) == ("other", ())
    assert found.early == ()


def test_runs_of_other_machines_than_randoms_are_not_ahead() -> None:
    elsewhere = RANDOM[0].machine.model_copy(update={"processor": "EPYC"})
    mixed = [*runs("ours", [55.0, 56.1]), *runs("ours", [0, 0, 59.0], machine=elsewhere)[2:]]
    (choice,) = answer([*RANDOM, *mixed]).early
    assert (choice.strategy, choice.seeds) == ("ours", 2)
    assert choice.gain.mean == pytest.approx(5.05)
    assert answer([*RANDOM, *runs("ours", [55.0, 56.1], machine=elsewhere)]).early == ()
