"""Statistics over seeds: means, intervals, paired differences, tests. Pure functions of numbers; nothing here knows a record.

Runs are paired by seed: under one seed all strategies start from the same labels and weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
FEWEST_FOR_BOOTSTRAP = 10
"""Below ten seeds a bootstrap interval is too narrow: Student's t is used."""
RESAMPLES = 9999
"""scipy's default."""
CLEAR_STANDARD_ERRORS = 3.0
"""What full-pool training must gain over random before gains are measured in it."""

BySeed = Mapping[int, float]
"""One number a run, by its seed."""


class Interval(NamedTuple):
    """A mean and the 95 % interval around it, all in the unit of the values."""

    mean: float
    lower: float
    upper: float


NOTHING = Interval(math.nan, math.nan, math.nan)


def interval(values: ArrayLike) -> Interval:
    """Mean of the finite values and its 95 % interval: Student's t below ten values, percentile bootstrap from ten on.

    The bounds are NaN for one value, everything for none. The resampling is fixed: equal values, equal interval.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[~np.isnan(finite)]
    if not len(finite):
        return NOTHING
    mean = float(finite.mean())
    if len(finite) == 1:
        return Interval(mean, math.nan, math.nan)
    if len(finite) < FEWEST_FOR_BOOTSTRAP:
        return _student(mean, float(stats.sem(finite)), len(finite) - 1)
    drawn = finite[_resamples(len(finite))].mean(1)
    return Interval(mean, *_percentiles(drawn))


def _student(mean: float, standard_error: float, freedom: float) -> Interval:
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * standard_error
    return Interval(mean, mean - half, mean + half)


def _resamples(count: int, stream: int = 0) -> NDArray[np.int64]:
    """Places drawn with replacement, one row a resample; always the same for a count and a stream."""
    return np.random.default_rng(stream).integers(count, size=(RESAMPLES, count))


def _percentiles(drawn: NDArray[np.float64]) -> tuple[float, float]:
    lower, upper = np.percentile(drawn, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return float(lower), float(upper)


def area_under_curve(labeled: ArrayLike, score: ArrayLike) -> float:
    """The mean score over the budget, in the metric's unit: the trapezoids' area divided by the width.

    One round gives that round's score. `labeled` must rise strictly.
    """
    counts, values = np.asarray(labeled, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if counts.shape != values.shape or not len(counts) or (np.diff(counts) <= 0).any():
        msg = f"wanted a score for each of strictly rising label counts, got {counts.tolist()} and {values.tolist()}"
        raise ValueError(msg)
    if len(counts) == 1:
        return float(values[0])
    return float(np.trapezoid(values, counts) / (counts[-1] - counts[0]))


def labels_to_reach(
    labeled: Sequence[int], score: Sequence[float], target: float, *, larger_is_better: bool = True
) -> float:
    """The smallest number of labels, between rounds by straight lines, at which the score is as good as `target`.

    Infinite where no round is.
    """
    sign = 1.0 if larger_is_better else -1.0
    gaps = [sign * (value - target) for value in score]
    if gaps[0] >= 0:
        return float(labeled[0])
    for place in range(1, len(gaps)):
        if gaps[place] >= 0:
            share = gaps[place - 1] / (gaps[place - 1] - gaps[place])
            return labeled[place - 1] + share * (labeled[place] - labeled[place - 1])
    return math.inf


def paired(values: BySeed, baseline: BySeed) -> NDArray[np.float64]:
    """The differences under the seeds that both have, in the order of the seeds."""
    return np.array([values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())])


def normalized_gain(values: BySeed, baseline: BySeed, full: BySeed, *, larger_is_better: bool = True) -> Interval:
    """What share of the way from the baseline to training on the whole pool a strategy goes: a ratio of seed means.

    Values and baseline are paired by seed; the full pool's runs are not. NaN where the full pool is not better than the
    baseline by three standard errors, or has one run alone: then nothing is said. Below ten runs of either the interval is
    the delta method's with Student's t and Welch's degrees of freedom, from there on a percentile bootstrap.
    """
    seeds = sorted(values.keys() & baseline.keys())
    own, base = (np.array([each[seed] for seed in seeds]) for each in (values, baseline))
    best = np.array([full[seed] for seed in sorted(full)])
    if min(len(seeds), len(best)) < 2:  # noqa: PLR2004 - no deviation of one number
        return NOTHING
    way = float(best.mean() - base.mean())
    sign = 1.0 if larger_is_better else -1.0
    if sign * way <= CLEAR_STANDARD_ERRORS * math.hypot(float(stats.sem(base)), float(stats.sem(best))):
        return NOTHING
    gain = float((own - base).mean()) / way
    if min(len(seeds), len(best)) >= FEWEST_FOR_BOOTSTRAP:
        rows, columns = _resamples(len(seeds)), _resamples(len(best), stream=1)
        moved = base[rows].mean(1)
        return Interval(gain, *_percentiles((own[rows].mean(1) - moved) / (best[columns].mean(1) - moved)))
    parts = np.array([stats.sem(own - (1 - gain) * base), gain * stats.sem(best)]) / way
    return _student(gain, math.hypot(*parts), _freedom(parts**2, np.array([len(seeds), len(best)]) - 1))


def _freedom(variances: NDArray[np.float64], each: NDArray[np.int64]) -> float:
    """Degrees of freedom of a sum of variances that have their own (Welch 1947, Satterthwaite 1946)."""
    if not variances.any():
        return float(each.min())
    return float(variances.sum() ** 2 / (variances**2 / each).sum())


def sign_flip(differences: ArrayLike) -> float:
    """Two-sided p of paired differences under the hypothesis that their signs are by chance; exact up to 13 pairs.

    With n pairs the smallest possible is 2 / 2^n. NaN without a pair.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values):
        return math.nan
    if len(values) == 1 or not values.any():
        return 1.0
    tested = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", vectorized=True, rng=np.random.default_rng(0)
    )
    return float(tested.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979): the chance of one false claim or more among all of them is at most each number."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(corrected, 1.0).tolist()


def beats(differences: ArrayLike) -> bool:
    """Whether paired differences lie above zero by a paired t-test at 5 %, two-sided: t over t(n - 1), ddof 1.

    Equal differences above zero do, two runs or more provided.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or values.mean() <= 0:  # noqa: PLR2004 - no deviation of one number
        return False
    error = values.std(ddof=1) / math.sqrt(len(values))
    return bool(values.mean() > float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error)


def probability_of_improvement(values: ArrayLike, others: ArrayLike) -> float:
    """The share of pairs of a run of one and a run of the other in which the first is larger; ties count half.

    Agarwal et al. 2021, equation 3. NaN where either has no run.
    """
    first, second = np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if not len(first) or not len(second):
        return math.nan
    gaps = first[:, None] - second[None, :]
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())
