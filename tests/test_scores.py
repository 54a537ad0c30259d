"""Scores: hand values, scipy's own numbers, and what must never be mixed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fake_records import ACCURACY, make_record
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from leaderboard.records import MetricInfo, RecordError
from leaderboard.scores import (
    CURVE_COLUMNS,
    area_under_curve,
    incomplete,
    interval,
    learning_curves,
    sections,
    standings,
    summary,
)

FINITE = st.floats(-1e3, 1e3)


def test_area_by_hand() -> None:
    # (1 + 2) / 2 * 100 + (2 + 2) / 2 * 300 = 750 over 400 labels
    assert area_under_curve([100, 200, 500], [1.0, 2.0, 2.0]) == pytest.approx(1.875)
    assert area_under_curve([100], [0.3]) == 0.3


@given(scores=st.lists(FINITE, min_size=2, max_size=8), seed=st.integers(0, 99))
def test_area_equals_scipy_and_lies_within_the_scores(scores: list[float], seed: int) -> None:
    labeled = np.cumsum(np.random.default_rng(seed).integers(1, 50, len(scores)))
    area = area_under_curve(labeled, scores)
    assert area == pytest.approx(integrate.trapezoid(scores, labeled) / (labeled[-1] - labeled[0]))
    assert min(scores) - 1e-9 <= area <= max(scores) + 1e-9


@pytest.mark.parametrize(("labeled", "score"), [([], []), ([1, 1], [0.0, 1.0]), ([1, 2], [0.0])])
def test_area_refuses_what_is_no_curve(labeled: list[int], score: list[float]) -> None:
    with pytest.raises(ValueError, match="strictly rising"):
        area_under_curve(labeled, score)


def test_t_interval_by_hand() -> None:
    # mean 2, standard error 1/sqrt(3), t(0.975, 2) = 4.30265
    found = interval([1.0, 2.0, 3.0])
    assert found == pytest.approx((2.0, 2.0 - 4.30265 / math.sqrt(3), 2.0 + 4.30265 / math.sqrt(3)), abs=1e-5)


@pytest.mark.parametrize("seeds", [2, 5, 9])
def test_below_ten_seeds_the_interval_is_students(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(size=seeds)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert interval(values)[1:] == pytest.approx((expected.low, expected.high))


def test_from_ten_seeds_the_interval_is_a_bootstrap_and_repeats() -> None:
    values = np.random.default_rng(0).normal(size=10)
    expected = stats.bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0))
    found = interval(values)
    assert found[1:] == pytest.approx(tuple(expected.confidence_interval))
    assert found == interval(values)
    assert values.min() <= found.lower < found.mean < found.upper <= values.max()


@pytest.mark.parametrize("seeds", [3, 12])
def test_equal_values_have_an_interval_without_width(seeds: int) -> None:
    assert interval([0.25] * seeds) == (0.25, 0.25, 0.25)


def test_one_value_has_no_interval_and_no_value_has_nothing() -> None:
    assert interval([5.0, math.nan]) == pytest.approx((5.0, math.nan, math.nan), nan_ok=True)
    assert all(math.isnan(value) for value in interval([math.nan]))


def test_curves_have_a_row_per_round() -> None:
    curves = learning_curves([make_record((50.0, 60.0), ranking=None, seed=3), make_record((51.0, 62.0), seed=2)])
    assert list(curves.columns) == CURVE_COLUMNS
    assert curves["seed"].tolist() == [2, 2, 3, 3]
    assert curves["labeled"].tolist() == [100, 200, 100, 200]
    assert curves["score"].tolist() == [51.0, 62.0, 50.0, 60.0]
    assert curves["fit_seconds"].tolist() == [10.0, 11.0, 10.0, 11.0]
    np.testing.assert_equal(curves["ranking_accuracy"].to_numpy(), [0.6, 0.6, math.nan, math.nan])
    np.testing.assert_equal(curves["select_seconds"].to_numpy(), [1.0, math.nan, 1.0, math.nan])


def test_summary_is_the_mean_and_interval_at_each_label_count() -> None:
    curves = learning_curves([make_record((score, 60.0), seed=seed) for seed, score in enumerate((1.0, 2.0, 3.0))])
    first, last = summary(curves).to_dict("records")
    assert (first["labeled"], first["score"], first["seeds"]) == (100, 2.0, 3)
    assert (first["lower"], first["upper"]) == pytest.approx(interval([1.0, 2.0, 3.0])[1:])
    assert (last["labeled"], last["score"], last["lower"], last["upper"]) == (200, 60.0, 60.0, 60.0)
    assert first["ranking_accuracy"] == pytest.approx(0.6)
    assert first["select_seconds"] == pytest.approx(1.0)


def two_strategies() -> list:
    ours = [make_record((10.0, 20.0 + seed), strategy="ours", seed=seed) for seed in (0, 1, 2)]
    return ours + [make_record((10.0, 14.0 - seed), seed=seed) for seed in (1, 2, 3)]


def test_standings_by_hand() -> None:
    ours, random = standings(learning_curves(two_strategies())).to_dict("records")
    assert (ours["strategy"], ours["rank"], random["strategy"], random["rank"]) == ("ours", 1, "random", 2)
    assert ours["area"] == pytest.approx((15.0 + 15.5 + 16.0) / 3)
    assert (ours["area_lower"], ours["area_upper"]) == pytest.approx(interval([15.0, 15.5, 16.0])[1:])
    assert (ours["last"], ours["last_labeled"], ours["seeds"]) == (21.0, 200, 3)
    assert ours["fit_seconds"] == pytest.approx(10.5)
    assert ours["select_seconds"] == pytest.approx(1.0)
    assert ours["ranking_accuracy"] == pytest.approx(0.6)


def test_the_difference_is_paired_over_the_shared_seeds() -> None:
    ours, random = standings(learning_curves(two_strategies())).to_dict("records")
    expected = stats.ttest_rel([15.5, 16.0], [11.5, 11.0]).confidence_interval(0.95)
    assert (ours["pairs"], ours["difference"]) == (2, pytest.approx(4.5))
    assert (ours["difference_lower"], ours["difference_upper"]) == pytest.approx((expected.low, expected.high))
    assert random["pairs"] == 0
    assert math.isnan(random["difference"])


@pytest.mark.parametrize("others", [[], [make_record(seed=7)]])
def test_without_a_pair_there_is_no_difference(others: list) -> None:
    table = standings(learning_curves([make_record(strategy="ours"), *others])).set_index("strategy")
    assert table.loc["ours", "pairs"] == 0
    assert table.loc["ours", ["difference", "difference_lower", "difference_upper"]].isna().all()


def test_where_smaller_is_better_the_smallest_area_comes_first() -> None:
    error = MetricInfo(name="error", unit="%", larger_is_better=False)
    records = [make_record((score,), metric=error, strategy=name) for name, score in (("a", 9.0), ("b", 4.0))]
    table = standings(learning_curves(records))
    assert table["strategy"].tolist() == ["b", "a"]
    assert table["rank"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "other", [{"task": "other"}, {"protocol": 2}, {"track": "native"}, {"split": "validation"}], ids=str
)
def test_sections_are_never_mixed(other: dict) -> None:
    records = [make_record((1.0,)), make_record((3.0,), strategy="ours", **other)]
    assert len(sections(records)) == 2
    table = standings(learning_curves(records))
    assert sorted(table["area"]) == [1.0, 3.0]
    assert table["rank"].tolist() == [1, 1]
    assert table["difference"].isna().all()
    assert len(summary(learning_curves(records))) == 2


def test_incomplete_runs_count_nowhere_and_are_known() -> None:
    half = make_record((99.0,), planned_rounds=3, seed=1)
    records = [make_record(), half]
    assert learning_curves(records)["seed"].unique().tolist() == [0]
    assert [section.records for section in sections(records)] == [(records[0],)]
    assert incomplete(records) == [half]


def test_no_records_give_empty_tables() -> None:
    curves = learning_curves([])
    assert summary(curves).empty
    assert standings(curves).empty
    assert sections([]) == []


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (make_record(), "random, seed 0: recorded twice"),
        (make_record((1.0, 2.0), strategy="ours"), r"label counts \[100, 200\], but random has \[100, 200, 300\]"),
        (make_record(strategy="ours", metric=ACCURACY.model_copy(update={"unit": "share"})), "ranked by"),
    ],
)
def test_runs_that_cannot_stand_side_by_side_are_refused(other: object, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        learning_curves([make_record(), other])
