"""Statistics over seeds: means, intervals, paired differences, tests. Pure functions of numbers.

Runs are paired by seed: under the same seed, all strategies start from the same labeled images and initial weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

CONFIDENCE = 0.95
RANDOM_SIGNS = 9999
"""Signs drawn for a sign-flip test of many pairs: scipy's default."""
MOST_EXACT_PAIRS = 20
"""The most pairs whose signs are all tried in a sign-flip test: 2^20 sums take a hundredth of a second."""
ROUNDING = 1e-9
"""How far a sum of flipped differences may lie below the observed one and still count as equal, as a share of the sum of
their sizes: differences of scores that are equal in decimals differ by rounding."""
CLEAR_STANDARD_ERRORS = 3.0
"""How far full-pool training must exceed random, in standard errors, before normalized gains are computed."""

BySeed = Mapping[int, float]
"""A number per run, by its seed."""


class Interval(NamedTuple):
    """A mean and its 95 % confidence interval, in the unit of the values."""

    mean: float
    lower: float
    upper: float


NO_INTERVAL = Interval(math.nan, math.nan, math.nan)


def interval(values: ArrayLike) -> Interval:
    """The mean of values and its 95 % confidence interval; NaN values are ignored.

    By Student's t. The percentile bootstrap of the mean is too narrow: of normal values it covers the mean in 89 % of samples
    of ten, and in 92.5 % of samples of twenty. The bounds are NaN for one value, and so is the mean for none.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[~np.isnan(finite)]
    if not len(finite):
        return NO_INTERVAL
    mean = float(finite.mean())
    if len(finite) == 1:
        return Interval(mean, math.nan, math.nan)
    return student(mean, _standard_error(finite), len(finite) - 1)


def student(mean: float, standard_error: float, freedom: float, confidence: float = CONFIDENCE) -> Interval:
    """The interval of a mean, of 95 % unless another confidence is given, by Student's t with so many degrees of freedom."""
    half = _quantile(freedom, confidence) * standard_error
    return Interval(mean, mean - half, mean + half)


@lru_cache(maxsize=1024)
def _quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """How many standard errors half an interval has."""
    return float(special.stdtrit(freedom, (1 + confidence) / 2))


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def area_under_curve(labeled: ArrayLike, score: ArrayLike) -> float:
    """The area under a learning curve by the trapezoidal rule, divided by the range of label counts.

    It is the mean score over the budget, in the unit of the metric. The area of a single round is its score.

    Raises:
        ValueError: the label counts do not rise strictly, or there is not one score per label count.
    """
    counts, values = np.asarray(labeled, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if counts.shape != values.shape or not len(counts) or (np.diff(counts) <= 0).any():
        msg = f"label counts must be strictly rising, with one score each; got {counts.tolist()} and {values.tolist()}"
        raise ValueError(msg)
    if len(counts) == 1:
        return float(values[0])
    return float(np.trapezoid(values, counts) / (counts[-1] - counts[0]))


def areas_of_thirds(labeled: Sequence[int], score: Sequence[float]) -> tuple[float, float, float]:
    """The areas under the first, the middle and the last third of a learning curve; see `area_under_curve`.

    The range of label counts is cut into three equal parts, and the curve is straight between rounds. The mean of the
    three is the whole area. All three are NaN for a single round.
    """
    if len(labeled) == 1:
        return (math.nan, math.nan, math.nan)
    ends = np.linspace(labeled[0], labeled[-1], 4)
    knots = np.union1d(labeled, ends)
    values = np.interp(knots, labeled, score)
    first, middle, last = (
        area_under_curve(knots[inside], values[inside])
        for inside in ((knots >= start) & (knots <= stop) for start, stop in pairwise(ends))
    )
    return first, middle, last


def labels_to_reach(
    labeled: Sequence[int], score: Sequence[float], target: float, *, larger_is_better: bool = True
) -> float:
    """The smallest number of labels at which the score is as good as `target`, by linear interpolation between rounds.

    Infinite if no round is as good.
    """
    sign = 1.0 if larger_is_better else -1.0
    gaps = [sign * (value - target) for value in score]
    if gaps[0] >= 0:
        return float(labeled[0])
    for index in range(1, len(gaps)):
        if gaps[index] >= 0:
            share = gaps[index - 1] / (gaps[index - 1] - gaps[index])
            return labeled[index - 1] + share * (labeled[index] - labeled[index - 1])
    return math.inf


def paired(values: BySeed, baseline: BySeed) -> NDArray[np.float64]:
    """`values` minus `baseline` under the seeds that both have, in the order of the seeds."""
    return np.array([values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())])


def normalized_gain(values: BySeed, baseline: BySeed, full: BySeed, *, larger_is_better: bool = True) -> Interval:
    """The normalized gain of a strategy: (values - baseline) / (full pool - baseline), of means over seeds.

    Values and baseline are paired by seed; the runs of the full pool are not. NaN if the full pool does not exceed the
    baseline by three standard errors, or if there are fewer than two pairs or two runs of the full pool.

    The interval is that of the delta method, with Student's t and Welch's degrees of freedom.

    Args:
        values: scores of the strategy.
        baseline: scores of the baseline.
        full: scores of a training on the full pool.
        larger_is_better: whether a larger score is better.
    """
    seeds = sorted(values.keys() & baseline.keys())
    own, base = (np.array([scores[seed] for seed in seeds]) for scores in (values, baseline))
    best = np.array([full[seed] for seed in sorted(full)])
    if min(len(seeds), len(best)) < 2:  # noqa: PLR2004 - a single number has no standard deviation
        return NO_INTERVAL
    distance = float(best.mean() - base.mean())
    sign = 1.0 if larger_is_better else -1.0
    if sign * distance <= CLEAR_STANDARD_ERRORS * math.hypot(_standard_error(base), _standard_error(best)):
        return NO_INTERVAL
    gain = float((own - base).mean()) / distance
    errors = np.array([_standard_error(own - (1 - gain) * base), gain * _standard_error(best)]) / distance
    freedom = degrees_of_freedom(errors**2, np.array([len(seeds), len(best)]) - 1)
    return student(gain, math.hypot(*errors), freedom)


def degrees_of_freedom(variances: NDArray[np.float64], freedoms: NDArray[np.int64]) -> float:
    """Degrees of freedom of a sum of variances, from those of its terms (Welch 1947, Satterthwaite 1946)."""
    if not variances.any():
        return float(freedoms.min())
    return float(variances.sum() ** 2 / (variances**2 / freedoms).sum())


def sign_flip(differences: ArrayLike) -> float:
    """The two-sided p-value of a sign-flip permutation test on paired differences; exact up to 20 pairs.

    The null hypothesis is that positive and negative signs are equally probable. The smallest possible value for n pairs is
    2 / 2^n; for more than 20 it is 1 / 10,000. NaN without pairs.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values):
        return math.nan
    if len(values) == 1 or not values.any():
        return 1.0
    if len(values) > MOST_EXACT_PAIRS:
        signs = np.random.default_rng(0).choice((-1.0, 1.0), size=(RANDOM_SIGNS + 1, len(values)))
        signs[0] = 1  # the observed signs are one of the drawn ones (Phipson & Smyth 2010)
        sums = signs @ values
    else:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
    least = abs(values.sum()) - ROUNDING * np.abs(values).sum()
    return float((np.abs(sums) >= least).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected by Holm's method (1979), which controls the family-wise error rate."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(corrected, 1.0).tolist()


def beats(differences: ArrayLike) -> bool:
    """Whether paired differences are significantly above zero: a two-sided paired t-test at 5 %, with n - 1 degrees of freedom.

    Two or more equal differences above zero count as significant; a single difference never does.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or values.mean() <= 0:  # noqa: PLR2004 - a single number has no standard deviation
        return False
    error = values.std(ddof=1) / math.sqrt(len(values))
    return bool(values.mean() > _quantile(len(values) - 1) * error)


def probability_of_improvement(values: ArrayLike, others: ArrayLike) -> float:
    """The probability that a run of the first strategy has a larger value than a run of the second.

    The share of all pairs of runs in which the first is larger; ties count half (Agarwal et al. 2021, equation 3). NaN if
    either has no run.
    """
    first, second = np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if not len(first) or not len(second):
        return math.nan
    gaps = first[:, None] - second[None, :]
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())
