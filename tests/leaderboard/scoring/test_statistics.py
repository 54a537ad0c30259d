"""Statistics: values computed by hand, scipy's values, and NaN for too little data."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from leaderboard.scoring.statistics import (
    area_under_curve,
    areas_of_thirds,
    beats,
    holm,
    interval,
    labels_to_reach,
    normalized_gain,
    paired,
    probability_of_improvement,
    sign_flip,
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


@pytest.mark.parametrize("seeds", [2, 5, 20])
def test_the_interval_is_students(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(size=seeds)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert interval(values)[1:] == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("seeds", [3, 12])
def test_equal_values_have_an_interval_without_width(seeds: int) -> None:
    assert interval([0.25] * seeds) == (0.25, 0.25, 0.25)


def test_one_value_has_no_interval_and_no_value_has_nothing() -> None:
    assert interval([5.0, math.nan]) == pytest.approx((5.0, math.nan, math.nan), nan_ok=True)
    assert all(math.isnan(value) for value in interval([math.nan]))


def test_areas_of_thirds_are_cut_on_straight_lines() -> None:
    # thirds end at 200 and 300; the curve is 0.2 at 200 and 0.3 at 300
    assert areas_of_thirds([100, 400], [0.1, 0.4]) == pytest.approx((0.15, 0.25, 0.35))
    assert areas_of_thirds([100, 150, 400], [0.0, 1.0, 1.0]) == pytest.approx((0.75, 1.0, 1.0))
    labeled, score = [10, 40, 70, 110, 200], [0.1, 0.5, 0.3, 0.7, 0.9]
    assert np.mean(areas_of_thirds(labeled, score)) == pytest.approx(area_under_curve(labeled, score))
    assert all(math.isnan(area) for area in areas_of_thirds([100], [0.4]))


def test_labels_to_reach_a_score_lie_between_rounds_on_a_straight_line() -> None:
    labeled, score = [100, 200, 300], [0.2, 0.4, 0.3]
    assert labels_to_reach(labeled, score, 0.3) == pytest.approx(150)
    assert labels_to_reach(labeled, score, 0.1) == 100
    assert labels_to_reach(labeled, score, 0.4) == 200
    assert labels_to_reach(labeled, score, 0.5) == math.inf
    assert labels_to_reach(labeled, [9.0, 7.0, 5.0], 6.0, larger_is_better=False) == pytest.approx(250)


def test_differences_pair_the_seeds_that_both_have() -> None:
    assert paired({3: 5.0, 1: 2.0, 2: 9.0}, {1: 1.0, 3: 1.0, 7: 0.0}).tolist() == [1.0, 4.0]


def test_normalized_gain_is_a_ratio_of_means() -> None:
    # (5 - 2) / (8 - 2); no deviation anywhere but in the strategy: 1, 0, -1 over 6, t(0.975, 2) = 4.30265
    found = normalized_gain({0: 4.0, 1: 5.0, 2: 6.0}, dict.fromkeys(range(3), 2.0), dict.fromkeys(range(3), 8.0))
    assert found == pytest.approx((0.5, 0.5 - 4.30265 / 6 / math.sqrt(3), 0.5 + 4.30265 / 6 / math.sqrt(3)), abs=1e-5)


def test_normalized_gain_of_the_full_pool_and_of_random() -> None:
    random, full = {0: 1.0, 1: 1.2, 2: 0.9}, {0: 5.0, 1: 5.1, 2: 4.9}
    assert normalized_gain(random, random, full).mean == 0
    assert normalized_gain(full, random, full).mean == pytest.approx(1.0)


@pytest.mark.slow
def test_the_delta_interval_covers_what_it_says() -> None:
    rng, covered = np.random.default_rng(0), []
    for _ in range(1000):
        base, best = rng.normal(1, 0.2, 8), rng.normal(5, 0.1, 3)
        own = base + rng.normal(1, 0.3, 8)
        found = normalized_gain(*(dict(enumerate(each)) for each in (own, base, best)))
        covered.append(found.lower < 0.25 < found.upper)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("full", [{0: 1.1, 1: 0.9, 2: 1.3}, {0: 9.0}, {}])
def test_without_a_clear_way_to_the_full_pool_no_gain_is_given(full: dict[int, float]) -> None:
    found = normalized_gain({0: 1.2, 1: 1.1}, {0: 0.9, 1: 1.0}, full)
    assert all(math.isnan(each) for each in found)


def test_a_full_pool_that_is_worse_than_random_measures_nothing() -> None:
    random, own, full = ({seed: value + seed / 1000 for seed in range(3)} for value in (0.80, 0.75, 0.70))
    assert math.isnan(normalized_gain(own, random, full).mean)
    assert normalized_gain(own, random, full, larger_is_better=False).mean == pytest.approx(0.5)


def test_eight_differences_of_one_sign_give_the_smallest_p() -> None:
    assert sign_flip(np.arange(1.0, 9.0)) == pytest.approx(2 / 2**8)
    assert sign_flip([1.0, 2.0, 3.0]) == pytest.approx(2 / 2**3)


def test_signs_flipped_by_hand() -> None:
    # means of all sign patterns of (1, 2): 1.5, 0.5, -0.5, -1.5; |mean| of (-1, 2) is 0.5: all are at least as far
    assert sign_flip([-1.0, 2.0]) == 1.0
    assert sign_flip([0.0, 0.0]) == 1.0
    assert sign_flip([4.0]) == 1.0
    assert math.isnan(sign_flip([]))


def test_flipped_sums_that_are_equal_in_decimals_count_as_equal() -> None:
    # In hundredths, two of the 64 patterns of signs have exactly the observed sum of 17; in binary fractions they fall below it.
    random = [73.46, 66.75, 65.89, 73.63, 65.22, 70.41]
    scores = [73.39, 66.96, 65.92, 73.35, 65.37, 70.54]
    hundredths = [-7, 21, 3, -28, 15, 13]
    share = np.mean([abs(np.dot(signs, hundredths)) >= 17 for signs in product((1, -1), repeat=6)])
    assert sign_flip(np.subtract(scores, random)) == share == 46 / 64


@pytest.mark.parametrize("pairs", [5, 14])
def test_all_signs_are_tried_as_scipy_does(pairs: int) -> None:
    values = np.random.default_rng(pairs).normal(0.3, 1, pairs)
    expected = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(values) == pytest.approx(expected.pvalue)


def test_twenty_pairs_are_exact_and_more_are_drawn() -> None:
    assert sign_flip(np.ones(20)) == 2 / 2**20
    assert sign_flip(np.ones(40)) == 1 / 10_000


def test_sign_flip_has_its_level_under_no_difference() -> None:
    rng = np.random.default_rng(0)
    claims = np.mean([sign_flip(rng.normal(size=8)) <= 0.05 for _ in range(400)])
    assert 0.02 < claims < 0.08


def test_holm_by_hand() -> None:
    # .01 x 3, then .02 x 2 and no less than before, then .04 x 1 and no less than before
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_never_lowers_a_p_and_keeps_their_order(values: list[float]) -> None:
    corrected = holm(values)
    assert all(after >= before for before, after in zip(values, corrected, strict=True))
    assert [corrected[place] for place in np.argsort(values, kind="stable")] == sorted(corrected)


@pytest.mark.parametrize("seed", range(6))
def test_a_strategy_beats_another_where_scipys_paired_t_test_says_so(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0.8, 1, 5), rng.normal(0, 1, 5)
    expected = stats.ttest_rel(first, second)
    assert beats(first - second) == (expected.pvalue < 0.05 and expected.statistic > 0)


def test_the_threshold_is_that_of_the_seeds() -> None:
    # t = 3: above t(4) = 2.776, below t(2) = 4.303
    five = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    five = five / five.std(ddof=1) * math.sqrt(5) + 3
    three = np.array([-1.0, 0.0, 1.0]) * math.sqrt(3) + 3
    assert beats(five)
    assert not beats(three)
    assert not beats(-five)
    assert not beats([1.0])
    assert beats([0.1, 0.1])


@given(first=st.lists(FINITE, min_size=1, max_size=6), second=st.lists(FINITE, min_size=1, max_size=6))
def test_probability_of_improvement_is_mann_whitneys_u(first: list[float], second: list[float]) -> None:
    u = stats.mannwhitneyu(first, second, method="asymptotic").statistic
    assert probability_of_improvement(first, second) == pytest.approx(u / (len(first) * len(second)))


def test_probability_of_improvement_of_nothing_is_nothing() -> None:
    assert math.isnan(probability_of_improvement([], [1.0]))
