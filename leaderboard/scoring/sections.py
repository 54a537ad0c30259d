"""Sections: groups of runs that are ranked together, with standings and penalties. Computed from records alone.

A section never mixes protocols, versions, tracks or splits. Incomplete runs are left out; `incomplete` lists them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise, takewhile

import numpy as np

from leaderboard.schema.records import MetricInfo, Record, RecordError
from leaderboard.scoring.entries import (
    BASELINE,
    FULL_POOL,
    REFERENCE_METHOD,
    Entry,
    Hardware,
    Key,
    mean,
    ranking_accuracy,
)
from leaderboard.scoring.standings import Penalties, Standing, penalties
from leaderboard.scoring.statistics import (
    NO_INTERVAL,
    BySeed,
    Interval,
    interval,
    labels_to_reach,
    normalized_gain,
    paired,
    probability_of_improvement,
)


@dataclass(frozen=True)
class Section:
    """The complete runs of one protocol and version, on one track and one split."""

    key: Key
    metric: MetricInfo
    entries: tuple[Entry, ...]
    """The strategies in the order of their names, including references, which are not ranked."""
    full_pool: Entry | None
    """Trainings on the full pool, if there are any."""

    @property
    def title(self) -> str:
        """The title, for instance "cifar10-mini · version 2 · shared track"; it names a split other than test, too."""
        split = "" if self.key.split == "test" else f" · {self.key.split} split"
        return f"{self.key.protocol} · version {self.key.version} · {self.key.track} track{split}"

    @property
    def metric_title(self) -> str:
        """The name of the metric with its unit."""
        return self.metric.title

    @property
    def base(self) -> str | None:
        """The name of the protocol that this one varies; None if it is not a variation."""
        base = self.records[0].config.get("base")
        return base if isinstance(base, str) else None

    @property
    def sign(self) -> float:
        """1 if a larger score is better, else -1."""
        return 1.0 if self.metric.larger_is_better else -1.0

    @cached_property
    def labels(self) -> list[int]:
        """The label counts of the rounds, ascending."""
        return [round_.labeled for round_ in self.entries[0].records[0].rounds]

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """All records in the order of strategy and seed, those of the full pool last."""
        entries = (*self.entries, *([self.full_pool] if self.full_pool else []))
        return tuple(record for entry in entries for record in entry.records)

    @cached_property
    def decimals(self) -> int:
        """The decimal places of scores: two for percentages, four for fractions of one."""
        return 2 if max(abs(score) for record in self.records for score in record.score) > 1 else 4

    @cached_property
    def hardware(self) -> Hardware:
        """The class of machines with runs of the most strategies. Seconds of the section are those of its runs."""
        strategies = Counter(
            hardware for entry in self.entries for hardware in {Hardware.of(record.machine) for record in entry.records}
        )
        candidates = strategies or {Hardware.of(self.records[0].machine): 1}
        return min(candidates, key=lambda hardware: (-strategies[hardware], hardware))

    @cached_property
    def machines(self) -> list[Hardware]:
        """All classes of machines with a run."""
        return sorted({Hardware.of(record.machine) for record in self.records})

    @cached_property
    def by_name(self) -> Mapping[str, Entry]:
        """The entries by the names of their strategies."""
        return {entry.strategy: entry for entry in self.entries}

    @cached_property
    def twins(self) -> Mapping[str, str]:
        """Strategies whose runs are also those of another one, by name: equal picks and scores under every seed.

        Some strategies are another one by definition on some kinds of task. The other one has as many runs or more.
        """
        ranked = [entry for entry in self.entries if not entry.reference and entry.strategy != BASELINE]
        runs = {
            entry.strategy: {record.seed: (record.picked, record.score) for record in entry.records}
            for entry in sorted(ranked, key=lambda entry: (-len(entry.records), entry.strategy))
        }
        found: dict[str, str] = {}
        for name, own in runs.items():
            firsts = takewhile(lambda other, name=name: other != name, runs)
            if first := next((other for other in firsts if own.items() <= runs[other].items()), None):
                found[name] = first
        return found

    def standing(self, strategy: str) -> Standing | None:
        """The standing of a strategy; None if it has no run."""
        return next((standing for standing in self.standings if standing.strategy == strategy), None)

    @cached_property
    def ranked(self) -> int:
        """The number of ranked strategies."""
        return sum(standing.rank is not None for standing in self.standings)

    @cached_property
    def full_score(self) -> Interval:
        """The last score of trainings on the full pool; NaN if there are none."""
        return interval([*self.full_pool.last.values()]) if self.full_pool else NO_INTERVAL

    @cached_property
    def has_gains(self) -> bool:
        """Whether normalized gains can be computed: the full pool is clearly better than random."""
        return any(not math.isnan(standing.gain.mean) for standing in self.standings)

    @property
    def has_penalties(self) -> bool:
        """Whether two strategies were run under the same seeds, so that one can beat the other."""
        return len(self.penalties.strategies) > 1 and self.penalties.rounds > 0

    @cached_property
    def thirds(self) -> list[tuple[float, float]]:
        """The numbers of labels at which the first, the middle and the last third of the budget start and end."""
        return [*pairwise(np.linspace(self.labels[0], self.labels[-1], 4).tolist())]

    def areas(self, strategy: str) -> BySeed:
        """The areas of a strategy's runs; empty if it has none."""
        return self.by_name[strategy].areas if strategy in self.by_name else {}

    def only(self, strategies: Sequence[str]) -> Section:
        """The section with some of its strategies: for charts only, because ranks would differ."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry.strategy in strategies))

    @cached_property
    def standings(self) -> list[Standing]:
        """The standings of all strategies, the best first, references last."""
        ranked = [entry for entry in self.entries if not entry.reference]
        levels = {entry.strategy: self.sign * self._level(entry) for entry in ranked}
        ranks = {name: 1 + sum(other > level for other in levels.values()) for name, level in levels.items()}
        standings = [self._standing(entry, ranks.get(entry.strategy)) for entry in self.entries]
        return sorted(standings, key=lambda standing: (standing.rank or len(standings) + 1, standing.strategy))

    def _level(self, entry: Entry) -> float:
        """The area by which a strategy is ranked; see `Standing.level`. Its mean area if it shares no seed with random."""
        random, gains = self.areas(BASELINE), paired(entry.areas, self.areas(BASELINE))
        return mean([*random.values()]) + float(gains.mean()) if len(gains) else mean([*entry.areas.values()])

    def _standing(self, entry: Entry, rank: int | None) -> Standing:
        name, random = entry.strategy, self.by_name.get(BASELINE)
        reaches: list[float] = []
        if random:
            target = mean([*random.last.values()])
            reaches = [
                labels_to_reach(self.labels, record.score, target, larger_is_better=self.metric.larger_is_better)
                for record in entry.records
            ]
        return Standing(
            strategy=name,
            rank=rank,
            seeds=len(entry.records),
            area=interval([*entry.areas.values()]),
            level=self._level(entry),
            last=interval([*entry.last.values()]),
            to_baseline=self._difference(entry, BASELINE),
            thirds=tuple(interval([*areas.values()]) for areas in entry.thirds),
            thirds_to_baseline=self._thirds_to_baseline(entry),
            to_reference_method=self._difference(entry, REFERENCE_METHOD),
            improvement=math.nan if name == BASELINE else self._improvement(entry),
            gain=self._gain(entry),
            pairs=(
                len(entry.areas.keys() & self.areas(BASELINE)),
                len(entry.areas.keys() & self.areas(REFERENCE_METHOD)),
            ),
            reach=interval(reaches) if reaches and max(reaches) < math.inf else NO_INTERVAL,
            reached=sum(labels < math.inf for labels in reaches) if random else None,
            ranking=interval([ranking_accuracy(record.rounds[-1]) for record in entry.records]),
            own_ranking=interval([ranking_accuracy(record.rounds[-1], own=True) for record in entry.records]),
            costs=entry.costs(self.hardware),
        )

    def _difference(self, entry: Entry, other: str) -> Interval:
        """The area minus that of another strategy under the same seeds; NaN for the same strategy."""
        if entry.strategy == other:
            return NO_INTERVAL
        return interval(paired(entry.areas, self.areas(other)))

    def _thirds_to_baseline(self, entry: Entry) -> tuple[Interval, ...]:
        random = self.by_name.get(BASELINE)
        if random is None or entry is random:
            return (NO_INTERVAL,) * len(entry.thirds)
        return tuple(interval(paired(own, other)) for own, other in zip(entry.thirds, random.thirds, strict=True))

    def _improvement(self, entry: Entry) -> float:
        seeds = entry.areas.keys() & self.areas(BASELINE).keys()
        own, others = ([self.sign * areas[seed] for seed in seeds] for areas in (entry.areas, self.areas(BASELINE)))
        return probability_of_improvement(own, others)

    def _gain(self, entry: Entry) -> Interval:
        if entry.strategy == BASELINE or BASELINE not in self.by_name or self.full_pool is None:
            return NO_INTERVAL
        better = self.metric.larger_is_better
        return normalized_gain(entry.last, self.by_name[BASELINE].last, self.full_pool.last, larger_is_better=better)

    @cached_property
    def penalties(self) -> Penalties:
        """The penalty matrix of all ranked strategies with two seeds or more, the best first."""
        ranked = [
            self.by_name[standing.strategy] for standing in self.standings if standing.rank and standing.seeds > 1
        ]
        return penalties(ranked, max(len(self.labels) - 1, 0), self.sign)


def incomplete(records: Iterable[Record]) -> list[Record]:
    """The runs that lack a planned round. No score is computed from them."""
    partial = (record for record in records if not record.complete)
    return sorted(partial, key=lambda record: (*Key.of(record), record.strategy, record.seed))


def sections(records: Iterable[Record], unranked: Collection[str] = ()) -> list[Section]:
    """Group the complete runs by protocol, version, track and split.

    Args:
        records: of any sections.
        unranked: strategies that are not ranked, beside those whose records say that they are references.

    Raises:
        RecordError: two records hold the same run, or two runs of a section differ in metric or label counts.
    """
    complete = [record for record in records if record.complete]
    complete.sort(key=lambda record: (*Key.of(record), record.strategy, record.seed))
    grouped = []
    for key, group in groupby(complete, key=Key.of):
        runs = list(group)
        _check_comparable(runs)
        by_strategy = {name: tuple(own) for name, own in groupby(runs, key=lambda record: record.strategy)}
        full = by_strategy.pop(FULL_POOL, ())
        if not by_strategy:
            continue
        grouped.append(
            Section(
                key,
                runs[0].metric,
                tuple(
                    Entry(name, name in unranked or any(record.reference for record in own), own)
                    for name, own in by_strategy.items()
                ),
                Entry(FULL_POOL, reference=True, records=full) if full else None,
            )
        )
    return grouped


def _check_comparable(runs: Sequence[Record]) -> None:
    """Raise a RecordError if a run is there twice, or if metrics or label counts differ."""
    seen: set[tuple[str, int]] = set()
    first: dict[bool, Record] = {}
    for record in runs:
        name = f"{record.protocol}, version {record.version}, {record.track}, {record.strategy}, seed {record.seed}"
        if (record.strategy, record.seed) in seen:
            msg = f"{name}: recorded twice; delete one of the two records"
            raise RecordError(msg)
        seen.add((record.strategy, record.seed))
        if record.metric != runs[0].metric:
            msg = f"{name}: metric {record.metric}, but {runs[0].strategy} has {runs[0].metric}; raise the version"
            raise RecordError(msg)
        other = first.setdefault(record.strategy == FULL_POOL, record)
        labels, expected = ([round_.labeled for round_ in run.rounds] for run in (record, other))
        if labels != expected:
            msg = f"{name}: label counts {labels}, but {other.strategy} has {expected}; raise the version"
            raise RecordError(msg)
