"""Scores: curves, intervals and standings, computed from records and never stored.

Task protocols, tracks and splits are never mixed. Incomplete runs are left out; `incomplete` lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from leaderboard.records import MetricInfo, Record, RecordError

SECTION = ["task", "protocol", "track", "split"]
ENTRY = [*SECTION, "strategy"]
RUN = [*ENTRY, "seed"]
BASELINE = "random"
"""The strategy that the others are compared with."""
RANKING_ACCURACY = "ranking_accuracy"
"""Key, in a round's metrics, of the share of pairs that lossnet orders right."""
CONFIDENCE = 0.95
FEWEST_FOR_BOOTSTRAP = 10
"""Below ten seeds a bootstrap interval is too narrow: Student's t is used."""
RESAMPLES = 9999
"""scipy's default."""

CURVE_COLUMNS = [
    *RUN,
    *("round", "labeled", "score", "ranking_accuracy", "select_seconds", "fit_seconds"),
    *("metric", "unit", "larger_is_better"),
]
SUMMARY_COLUMNS = [
    *ENTRY,
    *("labeled", "score", "lower", "upper", "seeds"),
    *("ranking_accuracy", "ranking_lower", "ranking_upper", "select_seconds"),
]
STANDING_COLUMNS = [
    *ENTRY,
    *("rank", "area", "area_lower", "area_upper", "last_labeled", "last", "last_lower", "last_upper"),
    *("difference", "difference_lower", "difference_upper", "pairs"),
    *("ranking_accuracy", "ranking_lower", "ranking_upper"),
    *("select_seconds", "fit_seconds", "seeds", "larger_is_better"),
]


class Interval(NamedTuple):
    """A mean and the 95 % interval around it, all in the unit of the values."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Section:
    """What is ranked together: the complete runs of one task protocol, on one track and one split."""

    task: str
    protocol: int
    track: str
    split: str
    metric: MetricInfo
    records: tuple[Record, ...]
    """In the order of strategy and seed."""
    summary: pd.DataFrame
    standings: pd.DataFrame

    @property
    def title(self) -> str:
        """One line that names it."""
        recipe = {"shared": "shared recipe", "native": "as published"}[self.track]
        split = "" if self.split == "test" else f" · {self.split} split"
        return f"{self.task} · protocol {self.protocol} · {recipe}{split}"

    @property
    def metric_title(self) -> str:
        """The metric with its unit."""
        return f"{self.metric.name} ({self.metric.unit})" if self.metric.unit else self.metric.name

    @property
    def labels(self) -> list[int]:
        """The label counts at which a model was trained, ascending."""
        return sorted({one.labeled for record in self.records for one in record.rounds})

    @property
    def decimals(self) -> int:
        """Decimal places at which its scores are shown: more where they are fractions of one."""
        return 2 if max(abs(score) for record in self.records for score in record.score) > 1 else 4


def section_key(record: Record) -> tuple[str, int, str, str]:
    """What a record must share with another to be compared with it."""
    return (record.task, record.protocol, record.track, record.split)


def incomplete(records: Iterable[Record]) -> list[Record]:
    """The runs that lack a planned round, and that no score counts."""
    left_out = (record for record in records if not record.complete)
    return sorted(left_out, key=lambda record: (*section_key(record), record.strategy, record.seed))


def sections(records: Iterable[Record]) -> list[Section]:
    """The complete runs, apart by task protocol, track and split, each with its summary and standings.

    Raises:
        RecordError: runs that cannot stand side by side; see `learning_curves`.
    """
    whole = [record for record in records if record.complete]
    whole.sort(key=lambda record: (*section_key(record), record.strategy, record.seed))
    found = []
    for key, members in groupby(whole, key=section_key):
        runs = tuple(members)
        curves = learning_curves(runs)
        found.append(Section(*key, runs[0].metric, runs, summary(curves), standings(curves)))
    return found


def learning_curves(records: Iterable[Record]) -> pd.DataFrame:
    """A row per complete run and round; NaN where a round has no ranking accuracy or selected nothing.

    Raises:
        RecordError: two records of one run, or two runs of a section that differ in metric or label counts.
    """
    whole = [record for record in records if record.complete]
    _check_comparable(whole)
    rows = [row for record in whole for row in _curve(record)]
    return pd.DataFrame(rows, columns=CURVE_COLUMNS).sort_values([*RUN, "round"], ignore_index=True)


def _curve(record: Record) -> list[dict[str, Any]]:
    run = {name: getattr(record, name) for name in RUN}
    metric = {
        "metric": record.metric.name,
        "unit": record.metric.unit,
        "larger_is_better": record.metric.larger_is_better,
    }
    return [
        run
        | metric
        | {
            "round": number,
            "labeled": one.labeled,
            "score": one.metrics[record.metric.name],
            "ranking_accuracy": one.metrics.get(RANKING_ACCURACY, np.nan),
            "select_seconds": one.seconds.select if one.picked else np.nan,
            "fit_seconds": one.seconds.fit,
        }
        for number, one in enumerate(record.rounds)
    ]


def _check_comparable(records: Sequence[Record]) -> None:
    runs: set[tuple[object, ...]] = set()
    first: dict[tuple[object, ...], Record] = {}
    for record in records:
        key = section_key(record)
        name = f"{record.task}, protocol {record.protocol}, {record.track}, {record.strategy}, seed {record.seed}"
        if (*key, record.strategy, record.seed) in runs:
            msg = f"{name}: recorded twice; keep one of the two records"
            raise RecordError(msg)
        runs.add((*key, record.strategy, record.seed))
        other = first.setdefault(key, record)
        if record.metric != other.metric:
            msg = f"{name}: ranked by {record.metric}, but {other.strategy} by {other.metric}; raise the protocol"
            raise RecordError(msg)
        labels, expected = ([one.labeled for one in each.rounds] for each in (record, other))
        if labels != expected:
            msg = f"{name}: label counts {labels}, but {other.strategy} has {expected}; raise the protocol"
            raise RecordError(msg)


def interval(values: ArrayLike) -> Interval:
    """Mean of the finite values and its 95 % interval: Student's t below ten values, percentile bootstrap from ten on.

    The bounds are NaN for one value, everything for none. The resampling is fixed: equal values, equal interval.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[~np.isnan(finite)]
    if not len(finite):
        return Interval(np.nan, np.nan, np.nan)
    mean = float(finite.mean())
    if len(finite) == 1:
        return Interval(mean, np.nan, np.nan)
    if len(finite) < FEWEST_FOR_BOOTSTRAP:
        half = stats.t.ppf((1 + CONFIDENCE) / 2, len(finite) - 1) * stats.sem(finite)
        return Interval(mean, float(mean - half), float(mean + half))
    bounds = stats.bootstrap(
        (finite,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(mean, float(bounds.low), float(bounds.high))


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


def summary(curves: pd.DataFrame) -> pd.DataFrame:
    """A row per strategy and label count: means over the seeds with 95 % intervals."""
    rows = []
    for _, group in curves.groupby([*ENTRY, "labeled"], sort=True):
        key = group[[*ENTRY, "labeled"]].iloc[0]
        score, ranking = interval(group["score"]), interval(group["ranking_accuracy"])
        rows.append((*key, *score, len(group), *ranking, group["select_seconds"].mean()))
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def paired_difference(values: Mapping[int, float], baseline: Mapping[int, float]) -> tuple[Interval, int]:
    """Mean difference over the seeds (the keys) that both have, its 95 % interval, and how many seeds that is."""
    shared = sorted(values.keys() & baseline.keys())
    return interval([values[seed] - baseline[seed] for seed in shared]), len(shared)


def standings(curves: pd.DataFrame) -> pd.DataFrame:
    """A row per strategy, the best area of a section first; seconds are means of a round.

    `difference` is the area minus that of the random strategy under the same seeds; NaN where there is no such pair,
    and for the random strategy itself.
    """
    rows = []
    for _, section in curves.groupby(SECTION, sort=True):
        areas = _areas(section)
        entries = [_standing(group, areas) for _, group in section.groupby("strategy", sort=True)]
        better = bool(section["larger_is_better"].iloc[0])
        means = np.array([row["area"] for row in entries])
        rank = stats.rankdata(-means if better else means, method="min")
        rows += [row | {"rank": int(place)} for row, place in zip(entries, rank, strict=True)]
    table = pd.DataFrame(rows, columns=STANDING_COLUMNS)
    return table.sort_values([*SECTION, "rank", "strategy"], ignore_index=True)


def _areas(section: pd.DataFrame) -> dict[str, dict[int, float]]:
    """The area of every run: by strategy, then by seed."""
    areas: dict[str, dict[int, float]] = {}
    for _, run in section.groupby(["strategy", "seed"], sort=True):
        by_seed = areas.setdefault(str(run["strategy"].iloc[0]), {})
        by_seed[int(run["seed"].iloc[0])] = area_under_curve(run["labeled"], run["score"])
    return areas


def _standing(group: pd.DataFrame, areas: dict[str, dict[int, float]]) -> dict[str, Any]:
    strategy = str(group["strategy"].iloc[0])
    own = areas[strategy]
    last = group[group["labeled"] == group["labeled"].max()]
    difference, pairs = paired_difference(own, {} if strategy == BASELINE else areas.get(BASELINE, {}))
    row: dict[str, Any] = {name: group[name].tolist()[0] for name in [*ENTRY, "larger_is_better"]}
    row |= _columns("area", interval(list(own.values())))
    row |= _columns("last", interval(last["score"])) | {"last_labeled": max(group["labeled"].tolist())}
    row |= _columns("difference", difference) | {"pairs": pairs}
    row |= _columns("ranking", interval(last["ranking_accuracy"]), mean="ranking_accuracy")
    row |= {"select_seconds": group["select_seconds"].mean(), "fit_seconds": group["fit_seconds"].mean()}
    return row | {"seeds": len(own)}


def _columns(name: str, values: Interval, *, mean: str = "") -> dict[str, Any]:
    return {mean or name: values.mean, f"{name}_lower": values.lower, f"{name}_upper": values.upper}
