"""Sections, contrasts and picks: values computed by hand, and runs that must not be mixed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fake_records import ACCURACY, make_record
from scipy import stats

from leaderboard.schema.records import MetricInfo, Phases, Record, RecordError
from leaderboard.scoring.contrasts import Plan, contrasts
from leaderboard.scoring.entries import Hardware
from leaderboard.scoring.picks import group_shares, overlap_matrix, overlaps, seed_overlap
from leaderboard.scoring.sections import Section, Standing, incomplete, sections
from leaderboard.scoring.statistics import interval


def only(records: list[Record]) -> Section:
    (section,) = sections(records)
    return section


def standing(section: Section, strategy: str) -> Standing:
    return next(each for each in section.standings if each.strategy == strategy)


def two_strategies() -> list[Record]:
    ours = [make_record((10.0, 20.0 + seed), strategy="ours", seed=seed) for seed in (0, 1, 2)]
    return ours + [make_record((10.0, 14.0 - seed), seed=seed) for seed in (1, 2, 3)]


def test_points_are_means_and_intervals_at_each_label_count() -> None:
    section = only([make_record((score, 60.0), seed=seed) for seed, score in enumerate((1.0, 2.0, 3.0))])
    first, last = section.by_name["random"].points
    assert (first.labeled, first.seeds, first.score) == (100, 3, interval([1.0, 2.0, 3.0]))
    assert (last.labeled, last.score) == (200, (60.0, 60.0, 60.0))
    assert first.ranking.mean == pytest.approx(0.6)


def test_standings_by_hand() -> None:
    ours, random = only(two_strategies()).standings
    assert (ours.strategy, ours.rank, random.strategy, random.rank) == ("ours", 1, "random", 2)
    assert ours.area == interval([15.0, 15.5, 16.0])
    assert (ours.last.mean, ours.seeds) == (21.0, 3)
    assert (ours.costs.fit, ours.costs.select, ours.costs.peak_mebibytes) == pytest.approx((10.5, 1.0, 512.0))
    assert ours.ranking.mean == pytest.approx(0.6)
    assert ours.improvement == 1.0


def test_labels_to_reach_randoms_last_score() -> None:
    # random ends at 13, 12 and 11, so at 12; ours rises from 10 to 20, 21 and 22 between 100 and 200 labels
    ours, random = only(two_strategies()).standings
    assert ours.reach == pytest.approx(interval([120.0, 100 + 200 / 11, 100 + 200 / 12]))
    assert (ours.reached, random.reached) == (3, 2)
    assert math.isnan(random.reach.mean)


def test_the_difference_is_paired_over_the_shared_seeds() -> None:
    ours, random = only(two_strategies()).standings
    expected = stats.ttest_rel([15.5, 16.0], [11.5, 11.0]).confidence_interval(0.95)
    assert ours.to_baseline == pytest.approx((4.5, expected.low, expected.high))
    assert math.isnan(random.to_baseline.mean)
    assert math.isnan(ours.to_reference_method.mean)


@pytest.mark.parametrize("others", [[], [make_record(seed=7)]])
def test_without_a_pair_there_is_no_difference(others: list[Record]) -> None:
    found = standing(only([make_record(strategy="ours"), *others]), "ours")
    assert all(math.isnan(each) for each in found.to_baseline)


def test_a_strategy_with_few_seeds_is_ranked_by_its_difference_to_random() -> None:
    # seed 0 is the hardest: the area of "few" is below random's mean, and above random's under the same seed
    records = [make_record((area,), seed=seed) for seed, area in enumerate((40.0, 60.0, 62.0))]
    records += [make_record((area,), strategy="worse", seed=seed) for seed, area in enumerate((41.0, 58.0, 60.0))]
    section = only([*records, make_record((45.0,), strategy="few", seed=0)])
    assert [(each.strategy, each.rank) for each in section.standings] == [("few", 1), ("random", 2), ("worse", 3)]
    few = standing(section, "few")
    assert (few.area.mean, few.level, few.improvement) == (45.0, 59.0, 1.0)


def test_a_strategy_without_shared_seeds_is_ranked_by_its_area() -> None:
    section = only([make_record((50.0,)), make_record((49.0,), strategy="ours", seed=5)])
    assert [(each.strategy, each.level) for each in section.standings] == [("random", 50.0), ("ours", 49.0)]


def test_the_ranking_accuracy_of_an_own_loss_predictor_is_separate() -> None:
    record = make_record((50.0, 60.0))
    rounds = [
        one.model_copy(update={"metrics": {**one.metrics, "auxiliary_ranking_accuracy": 0.5 + place / 4}})
        for place, one in enumerate(record.rounds)
    ]
    section = only([record, record.model_copy(update={"strategy": "ours", "rounds": tuple(rounds)})])
    assert (standing(section, "ours").ranking.mean, standing(section, "ours").own_ranking.mean) == (0.6, 0.75)
    assert math.isnan(standing(section, "random").own_ranking.mean)


def test_the_normalized_gain_is_relative_to_the_full_pool() -> None:
    full = [make_record((80.0 + seed,), strategy="full-pool", reference=True, seed=seed) for seed in (0, 1)]
    full = [each.model_copy(update={"rounds": (each.rounds[0].model_copy(update={"labeled": 5000}),)}) for each in full]
    section = only([*two_strategies(), *full])
    ours, random = section.standings
    assert ours.gain.mean == pytest.approx((21.5 - 12.5) / (80.5 - 12.5))  # over the seeds 1 and 2
    assert math.isnan(random.gain.mean)
    assert [entry.strategy for entry in section.entries] == ["ours", "random"]
    assert section.labels == [100, 200]


def test_references_are_shown_and_not_ranked() -> None:
    scores = {"oracle": 9.0, "random": 1.0, "a": 2.0}
    section = only(
        [
            make_record((score,), strategy=name, seed=seed, reference=name == "oracle")
            for name, score in scores.items()
            for seed in (0, 1)
        ]
    )
    assert [(each.strategy, each.rank) for each in section.standings] == [("a", 1), ("random", 2), ("oracle", None)]
    assert section.penalties.strategies == ("a", "random")


def test_where_smaller_is_better_the_smallest_area_comes_first() -> None:
    error = MetricInfo(name="error", unit="%", larger_is_better=False)
    records = [make_record((score,), metric=error, strategy=name) for name, score in (("random", 9.0), ("b", 4.0))]
    first, second = only(records).standings
    assert (first.strategy, second.strategy) == ("b", "random")
    assert first.improvement == 1.0


def test_scores_of_which_smaller_ones_are_better_say_the_same_as_their_negatives() -> None:
    error = MetricInfo(name="error", unit="%", larger_is_better=False)
    curves = {"random": (5.0, 6.0, 7.0), "ours": (5.0, 7.5, 8.0)}
    gaps = (0.0, 0.2, -0.1)

    def records(sign: float, **changes: object) -> list[Record]:
        found = [
            make_record((sign * 12.0,), strategy="full-pool", reference=True, seed=seed, **changes) for seed in range(2)
        ]
        for name, curve in curves.items():
            for seed, gap in enumerate(gaps):
                scores = tuple(sign * (score + place * gap) for place, score in enumerate(curve))
                found.append(make_record(scores, strategy=name, seed=seed, **changes))
        return found

    larger, smaller = only(records(1)), only(records(-1, metric=error))
    assert smaller.penalties.wins.tolist() == larger.penalties.wins.tolist() == [[0.0, 1.0], [0.0, 0.0]]
    ours, same = standing(larger, "ours"), standing(smaller, "ours")
    assert same.reach == ours.reach
    assert 100 < ours.reach.mean < 300
    assert same.gain == pytest.approx(ours.gain)
    assert ours.gain.mean > 0
    assert (same.rank, same.reached, same.improvement) == (ours.rank, ours.reached, ours.improvement) == (1, 3, 1.0)


def test_penalties_by_hand() -> None:
    # round 0 is shared; in round 1 ours is above by 1, 1.1 and 0.9, in round 2 by -1, 0 and 1
    random = [make_record((5.0, 6.0, 7.0), seed=seed) for seed in range(3)]
    ours = [
        make_record((5.0, 7.0 + gap, 7.0 + 10 * gap), strategy="ours", seed=s) for s, gap in enumerate((0, 0.1, -0.1))
    ]
    found = only(random + ours).penalties
    assert found.strategies == ("ours", "random")
    assert found.wins.tolist() == [[0.0, 0.5], [0.0, 0.0]]
    assert found.losses.tolist() == [0.0, 0.5]
    assert found.rounds == 2


def test_one_shared_seed_cannot_beat() -> None:
    records = [make_record(seed=seed) for seed in (0, 1)]
    records += [make_record((1.0, 2.0, 3.0), strategy="ours", seed=seed) for seed in (1, 2)]
    found = only([*records, make_record(strategy="once")]).penalties
    assert found.strategies == ("random", "ours")
    np.testing.assert_equal(found.losses, [math.nan, math.nan])


def test_seconds_are_of_the_machine_that_most_strategies_ran_on() -> None:
    fast = make_record().machine.model_copy(update={"device": "cuda"})
    slow = [make_record(strategy=name) for name in ("random", "ours")]
    section = only([*slow, make_record(seed=1, machine=fast), make_record(strategy="else", machine=fast, seed=2)])
    assert section.hardware == Hardware("Xeon", "cpu", 1)
    assert standing(section, "ours").costs.fit == 11.0
    assert math.isnan(standing(section, "else").costs.fit)
    assert len(section.machines) == 2


@pytest.mark.parametrize(
    "other", [{"protocol": "other"}, {"version": 2}, {"track": "native"}, {"split": "validation"}], ids=str
)
def test_sections_are_never_mixed(other: dict[str, object]) -> None:
    found = sections([make_record((1.0,)), make_record((3.0,), strategy="ours", **other)])
    assert sorted(section.standings[0].area.mean for section in found) == [1.0, 3.0]
    assert all(math.isnan(section.standings[0].to_baseline.mean) for section in found)


def test_incomplete_runs_are_left_out_and_listed() -> None:
    half = make_record((99.0,), planned_rounds=3, seed=1)
    records = [make_record(), half]
    assert only(records).records == (records[0],)
    assert incomplete(records) == [half]
    assert sections([half]) == []


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (make_record(), "random, seed 0: recorded twice"),
        (make_record((1.0, 2.0), strategy="short"), r"label counts \[100, 200\], but random has \[100, 200, 300\]"),
        (
            make_record(strategy="ours", metric=ACCURACY.model_copy(update={"unit": "share"})),
            "random, seed 0: metric .* but ours has",
        ),
    ],
)
def test_runs_that_are_not_comparable_are_refused(other: Record, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        sections([make_record(), other])


def test_planned_contrasts_are_corrected_together() -> None:
    records = [make_record((5.0,), seed=seed) for seed in range(8)]
    records += [make_record((6.0 + seed,), strategy="ours", seed=seed) for seed in range(8)]
    plan = Plan("board", (("shapes-mini", 1), ("not-run", 1)), ("shared",), tuple(range(8)), (("ours", "random"),))
    (found,) = contrasts(sections(records), plan)
    assert (found.strategy, found.baseline, found.seeds) == ("ours", "random", 8)
    assert found.difference == interval([1.0 + seed for seed in range(8)])
    assert found.p == pytest.approx(2 / 2**8)
    assert found.corrected == pytest.approx(2 * 2 / 2**8)  # two were planned, though one was not run


def test_there_is_no_p_value_before_all_planned_seeds_are_run() -> None:
    records = [make_record((5.0 + seed,), strategy=name, seed=seed) for seed in range(9) for name in ("a", "random")]
    plan = Plan("board", (("shapes-mini", 1),), ("shared",), tuple(range(12)), (("a", "random"),))
    (found,) = contrasts(sections(records), plan)
    assert (found.seeds, found.planned_seeds) == (9, 12)
    assert math.isnan(found.p)
    assert math.isnan(found.corrected)
    (fewer,) = contrasts(sections(records), plan._replace(seeds=(0, 1)))
    assert fewer.seeds == 2, "seeds that were not planned do not count"
    assert contrasts(sections(records), plan._replace(protocols=(("shapes-mini", 2),))) == []


def test_validation_runs_have_no_p_value() -> None:
    records = [make_record(split="validation", strategy=name, seed=s) for s in range(3) for name in ("a", "random")]
    assert (
        contrasts(sections(records), Plan("board", (("shapes-mini", 1),), ("shared",), (0, 1, 2), (("a", "random"),)))
        == []
    )


def picked(strategy: str, seed: int, *rounds: tuple[int, ...], groups: tuple[int, int] = (1, 1)) -> Record:
    record = make_record((1.0,) * (len(rounds) + 1), strategy=strategy, seed=seed)
    changed = [
        one.model_copy(update={"picked": ids, "group_counts": groups})
        for one, ids in zip(record.rounds, rounds, strict=False)
    ]
    return record.model_copy(update={"rounds": (*changed, record.rounds[-1])})


def test_overlaps_by_hand() -> None:
    section = only(
        [
            picked("random", 0, (1, 2), (3, 4)),
            picked("random", 1, (1, 2), (5, 6)),
            picked("ours", 0, (4, 3), (8, 9)),
            picked("ours", 1, (1, 2), (5, 7)),
            picked("far", 2, (1, 2), (3, 4)),
        ]
    )
    random = section.by_name["random"]
    far, own, other = range(3)
    shares = overlap_matrix(section)
    assert shares[own, other] == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert math.isnan(shares[own, far])
    assert shares[own, own] == 1
    assert overlaps(section, "far", overlap_matrix(section)) == []
    assert overlaps(section, "ours", overlap_matrix(section)) == [("random", pytest.approx(0.625))]
    assert seed_overlap(random) == pytest.approx(0.5)
    assert math.isnan(seed_overlap(section.by_name["far"]))


def test_group_shares_are_of_the_picked_images() -> None:
    section = only(
        [picked("random", 0, (1, 2), (3, 4), groups=(2, 1)), picked("ours", 0, (1, 2), (3, 4), groups=(0, 2))]
    )
    found = {(each.group, each.strategy): each.share for each in group_shares(section, "ours")}
    assert found == {("disc", "ours"): 0, ("ring", "ours"): 1, ("disc", "random"): 1, ("ring", "random"): 0.5}


def test_selection_seconds_leave_out_the_last_round() -> None:
    record = make_record((1.0, 2.0))
    last = record.rounds[-1].model_copy(update={"seconds": Phases(fit=1.0, evaluate=1.0)})
    record = record.model_copy(update={"rounds": (record.rounds[0], last)})
    assert only([record]).standings[0].costs.select == pytest.approx(1.0)
