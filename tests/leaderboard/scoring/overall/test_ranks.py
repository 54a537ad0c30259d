"""Overall ranks: hand values, recovered strengths, and strategies that were not run everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fake_records import ACCURACY, make_record

from leaderboard.schema.records import Record
from leaderboard.scoring.overall.bradley_terry import ELO, strengths, wins
from leaderboard.scoring.overall.ranks import FEWEST_RUNS, RESAMPLES, Place, ranking, resampling_weights
from leaderboard.scoring.sections import sections


def runs(strategy: str, areas: list[float], **changes: object) -> list[Record]:
    """Runs under the seeds 0, 1, …, a run per area."""
    return [make_record((area, area, area), strategy=strategy, seed=seed, **changes) for seed, area in enumerate(areas)]


def places(records: list[Record], span: int | None = None) -> dict[str, Place]:
    found = ranking(sections(records), span)
    return {place.strategy: place for place in (*found.places, *found.few)}


def test_wins_by_hand() -> None:
    nan = math.nan
    found = wins(np.array([[1.0, 2.0, 2.0], [3.0, nan, 1.0]]))
    assert found[0].tolist() == [[0, 0, 0], [1, 0, 0.5], [1, 0.5, 0]]
    assert found[1].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_the_strength_of_two_players_by_hand() -> None:
    # three wins and a loss, and a drawn match: odds of 3.5 to 1.5
    (found,) = strengths(np.array([[[0.0, 1.0], [3.0, 0.0]]]), anchor=0)
    assert found == pytest.approx([0, math.log(3.5 / 1.5)])
    assert ELO * math.log(10) == pytest.approx(400)


def test_players_that_never_met_are_compared_through_others() -> None:
    won = np.zeros((1, 4, 4))
    won[0, 1, 0], won[0, 0, 1] = (
        30,
        10,
    )  # the second beats the first, the third beats the second, the fourth has no match
    won[0, 2, 1], won[0, 1, 2] = 30, 10
    (found,) = strengths(won, anchor=0)
    assert 0 < found[1] < found[2]
    assert math.isnan(found[3])


def test_strengths_of_a_known_distribution_are_found() -> None:
    # of two scores with Gumbel noise, the larger one is distributed exactly as in the model
    true = np.array([0.0, 1.0, -0.5, 2.0])
    scores = true + np.random.default_rng(0).gumbel(size=(4000, 4))
    scores[:2000, 3] = np.nan
    (found,) = strengths(wins(scores).sum(0)[None], anchor=0)
    assert found == pytest.approx(true, abs=0.1)


def test_resamples_draw_protocols_first() -> None:
    weights = resampling_weights([3, 5])
    assert weights.shape == (RESAMPLES, 8)
    assert set(np.unique(weights[:, :3].sum(1))) == {0, 3, 6}
    assert (weights[:, :3].sum(1) / 3 + weights[:, 3:].sum(1) / 5).tolist() == [2] * RESAMPLES


def test_a_strategy_that_always_wins_is_clearly_first() -> None:
    found = places([*runs("random", [50.0] * 8), *runs("ours", [51.0] * 8), *runs("worse", [49.0] * 8)])
    ours, random, worse = found["ours"], found["random"], found["worse"]
    assert [(each.rank, each.best, each.worst) for each in (ours, random, worse)] == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
    assert (ours.won, ours.runs, ours.protocols, random.points.mean, random.won) == (8, 8, 1, 0, 0)
    assert ours.points.lower > 0 > worse.points.upper


def test_equal_strategies_are_not_told_apart() -> None:
    rng = np.random.default_rng(3)
    names = ("random", "ours", "theirs")
    found = places([record for name in names for record in runs(name, rng.normal(size=20).tolist())])
    assert [(each.best, each.worst) for each in found.values()] == [(1, 3)] * 3
    assert found["ours"].points.lower < 0 < found["ours"].points.upper


def test_few_runs_give_no_rank() -> None:
    found = places([*runs("random", [50.0] * 8), *runs("ours", [51.0] * (FEWEST_RUNS - 1)), *runs("theirs", [1.0] * 6)])
    assert (found["ours"].rank, found["ours"].won, found["ours"].runs) == (0, FEWEST_RUNS - 1, FEWEST_RUNS - 1)
    assert math.isnan(found["ours"].points.mean)
    assert (found["random"].rank, found["theirs"].rank) == (1, 2)


def test_what_was_not_run_is_not_made_up() -> None:
    # "few" was run on the protocol where both others fail; on scores, not on wins, it would look worst
    records = [*runs("random", [90.0] * 8, protocol="easy"), *runs("ours", [91.0] * 8, protocol="easy")]
    records += [*runs("random", [9.0] * 8, protocol="hard"), *runs("few", [10.0] * 8, protocol="hard")]
    found = places(records)
    assert {name: (each.won, each.runs, each.protocols) for name, each in found.items()} == {
        "ours": (8, 8, 1),
        "few": (8, 8, 1),
        "random": (0, 16, 2),
    }
    assert found["few"].points.mean == pytest.approx(found["ours"].points.mean)


def test_protocols_count_the_same_whatever_their_seeds() -> None:
    won = [*runs("random", [50.0] * 6, protocol="short"), *runs("ours", [51.0] * 6, protocol="short")]
    lost = [*runs("random", [50.0] * 24, protocol="long"), *runs("ours", [49.0] * 24, protocol="long")]
    found = places([*won, *lost])
    assert (found["ours"].won, found["ours"].runs) == (6, 30)
    assert found["ours"].points.mean == pytest.approx(0, abs=1e-6)
    assert found["ours"].rank == found["random"].rank == 1


def test_protocols_of_other_metrics_count_alike() -> None:
    error = ACCURACY.model_copy(update={"name": "error", "larger_is_better": False})
    found = places([*runs("random", [50.0] * 8, metric=error), *runs("ours", [40.0] * 8, metric=error)])
    assert (found["ours"].rank, found["ours"].won) == (1, 8)


def test_a_third_of_the_budget_has_ranks_of_its_own() -> None:
    early = [make_record((60.0, 60.0, 60.0, 50.0), strategy="early", seed=seed) for seed in range(8)]
    late = [make_record((50.0, 60.0, 60.0, 60.0), seed=seed) for seed in range(8)]
    assert places([*early, *late], 0)["early"].rank == 1
    assert places([*early, *late], 2)["early"].rank == 2


def test_references_and_sections_without_random_are_not_ranked() -> None:
    records = [*runs("random", [50.0] * 8), *runs("oracle", [90.0] * 8, reference=True)]
    assert "oracle" not in places([*records, *runs("ours", [1.0] * 8, protocol="else")])
    assert ranking(sections(runs("ours", [1.0] * 8))).places == ()
    assert ranking([]).places == ()
    assert ranking(sections([*runs("random", [50.0] * 8, reference=True), *runs("ours", [1.0] * 8)])).places == ()


def test_of_strategies_with_the_same_runs_one_counts() -> None:
    rng = np.random.default_rng(0)
    random, first = (rng.normal(50, 1, FEWEST_RUNS).tolist() for _ in range(2))
    alone = places([*runs("random", random), *runs("first", first)])
    both = places([*runs("random", random), *runs("first", first), *runs("second", first)])
    assert both["first"] == alone["first"]
    assert (both["second"].rank, both["second"].runs) == (0, 0)
