"""Sections: what is ranked together, with standings and penalties. Computed from records alone.

Task protocols, tracks and splits are never mixed. Incomplete runs are left out; `incomplete` lists them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from scipy import stats

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
    NOTHING,
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
    """What is ranked together: the complete runs of one task protocol, on one track and one split."""

    key: Key
    metric: MetricInfo
    entries: tuple[Entry, ...]
    """By name; references, which are shown and not ranked, among them."""
    full_pool: Entry | None

    @property
    def title(self) -> str:
        """One line that names it."""
        recipe = {"shared": "shared recipe", "native": "as published"}[self.key.track]
        split = "" if self.key.split == "test" else f" · {self.key.split} split"
        return f"{self.key.protocol} · version {self.key.version} · {recipe}{split}"

    @property
    def metric_title(self) -> str:
        """The metric with its unit."""
        return self.metric.title

    @property
    def base(self) -> str | None:
        """The task protocol that this one varies."""
        base = self.records[0].config.get("base")
        return base if isinstance(base, str) else None

    @property
    def sign(self) -> float:
        """1 where larger is better, else -1."""
        return 1.0 if self.metric.larger_is_better else -1.0

    @cached_property
    def labels(self) -> list[int]:
        """The label counts at which a model was trained, ascending."""
        return [one.labeled for one in self.entries[0].records[0].rounds]

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """In the order of strategy and seed, those of the full pool last."""
        every = (*self.entries, *([self.full_pool] if self.full_pool else []))
        return tuple(record for entry in every for record in entry.records)

    @cached_property
    def decimals(self) -> int:
        """Decimal places at which its scores are shown: more where they are fractions of one."""
        return 2 if max(abs(score) for record in self.records for score in record.score) > 1 else 4

    @cached_property
    def hardware(self) -> Hardware:
        """The class of machines on which most strategies were run: seconds are of its runs alone."""
        strategies = Counter(
            hardware for entry in self.entries for hardware in {Hardware.of(record.machine) for record in entry.records}
        )
        return min(strategies or {Hardware.of(self.records[0].machine): 1}, key=lambda each: (-strategies[each], each))

    @cached_property
    def machines(self) -> list[Hardware]:
        """All classes of machines that took part."""
        return sorted({Hardware.of(record.machine) for record in self.records})

    @cached_property
    def by_name(self) -> Mapping[str, Entry]:
        """Its entries."""
        return {entry.strategy: entry for entry in self.entries}

    def standing(self, strategy: str) -> Standing | None:
        """That of one strategy, if it has runs."""
        return next((each for each in self.standings if each.strategy == strategy), None)

    @cached_property
    def ranked(self) -> int:
        """How many strategies are ranked."""
        return sum(each.rank is not None for each in self.standings)

    @cached_property
    def full_score(self) -> Interval:
        """Of a training on the whole pool."""
        return interval([*self.full_pool.last.values()]) if self.full_pool else NOTHING

    @cached_property
    def has_gains(self) -> bool:
        """Whether some strategy has a normalised gain: training on the whole pool is clearly better than random."""
        return any(not math.isnan(each.gain.mean) for each in self.standings)

    def areas(self, strategy: str) -> BySeed:
        """The areas of a strategy's runs; none where it has no run."""
        return self.by_name[strategy].areas if strategy in self.by_name else {}

    def only(self, strategies: Sequence[str]) -> Section:
        """The same with some of its strategies: for a chart, not for a ranking."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry.strategy in strategies))

    @cached_property
    def standings(self) -> list[Standing]:
        """The best area first; references last."""
        ranked = [entry for entry in self.entries if not entry.reference]
        places = stats.rankdata([-self.sign * self._level(entry) for entry in ranked], method="min")
        ranks = {entry.strategy: int(place) for entry, place in zip(ranked, places, strict=True)}
        found = [self._standing(entry, ranks.get(entry.strategy)) for entry in self.entries]
        return sorted(found, key=lambda each: (each.rank or len(found) + 1, each.strategy))

    def _level(self, entry: Entry) -> float:
        random, gains = self.areas(BASELINE), paired(entry.areas, self.areas(BASELINE))
        return mean([*random.values()]) + float(gains.mean()) if len(gains) else mean([*entry.areas.values()])

    def _standing(self, entry: Entry, rank: int | None) -> Standing:
        name, random = entry.strategy, self.by_name.get(BASELINE)
        reaches: list[float] = []
        if random:
            target = mean([*random.last.values()])
            reaches = [
                labels_to_reach(self.labels, each.score, target, larger_is_better=self.metric.larger_is_better)
                for each in entry.records
            ]
        return Standing(
            strategy=name,
            rank=rank,
            seeds=len(entry.records),
            area=interval([*entry.areas.values()]),
            level=self._level(entry),
            last=interval([*entry.last.values()]),
            to_baseline=NOTHING if name == BASELINE else interval(paired(entry.areas, self.areas(BASELINE))),
            to_paper=NOTHING
            if name == REFERENCE_METHOD
            else interval(paired(entry.areas, self.areas(REFERENCE_METHOD))),
            improvement=math.nan if name == BASELINE else self._improvement(entry),
            gain=self._gain(entry),
            pairs=(
                len(entry.areas.keys() & self.areas(BASELINE)),
                len(entry.areas.keys() & self.areas(REFERENCE_METHOD)),
            ),
            reach=interval(reaches) if reaches and max(reaches) < math.inf else NOTHING,
            reached=sum(each < math.inf for each in reaches) if random else None,
            ranking=interval([ranking_accuracy(record.rounds[-1]) for record in entry.records]),
            own_ranking=interval([ranking_accuracy(record.rounds[-1], own=True) for record in entry.records]),
            costs=entry.costs(self.hardware),
        )

    def _improvement(self, entry: Entry) -> float:
        seeds = entry.areas.keys() & self.areas(BASELINE).keys()
        own, others = ([self.sign * each[seed] for seed in seeds] for each in (entry.areas, self.areas(BASELINE)))
        return probability_of_improvement(own, others)

    def _gain(self, entry: Entry) -> Interval:
        if entry.strategy == BASELINE or BASELINE not in self.by_name or self.full_pool is None:
            return NOTHING
        better = self.metric.larger_is_better
        return normalized_gain(entry.last, self.by_name[BASELINE].last, self.full_pool.last, larger_is_better=better)

    @cached_property
    def penalties(self) -> Penalties:
        """Of the ranked strategies that have two seeds or more, the best first, over all rounds after the first."""
        ranked = [self.by_name[each.strategy] for each in self.standings if each.rank and each.seeds > 1]
        return penalties(ranked, max(len(self.labels) - 1, 0), self.sign)


def incomplete(records: Iterable[Record]) -> list[Record]:
    """The runs that lack a planned round, and that no score counts."""
    left_out = (record for record in records if not record.complete)
    return sorted(left_out, key=lambda record: (*Key.of(record), record.strategy, record.seed))


def sections(records: Iterable[Record]) -> list[Section]:
    """The complete runs, apart by task protocol, track and split.

    Raises:
        RecordError: two records of one run, or two runs of a section that differ in metric or label counts.
    """
    whole = [record for record in records if record.complete]
    whole.sort(key=lambda record: (*Key.of(record), record.strategy, record.seed))
    found = []
    for key, members in groupby(whole, key=Key.of):
        runs = list(members)
        _check_comparable(runs)
        entries = {name: tuple(own) for name, own in groupby(runs, key=lambda record: record.strategy)}
        full = entries.pop(FULL_POOL, ())
        if not entries:
            continue
        found.append(
            Section(
                key,
                runs[0].metric,
                tuple(Entry(name, any(each.reference for each in own), own) for name, own in entries.items()),
                Entry(FULL_POOL, reference=True, records=full) if full else None,
            )
        )
    return found


def _check_comparable(runs: Sequence[Record]) -> None:
    names: set[tuple[str, int]] = set()
    first: dict[bool, Record] = {}
    for record in runs:
        name = f"{record.protocol}, version {record.version}, {record.track}, {record.strategy}, seed {record.seed}"
        if (record.strategy, record.seed) in names:
            msg = f"{name}: recorded twice; keep one of the two records"
            raise RecordError(msg)
        names.add((record.strategy, record.seed))
        if record.metric != runs[0].metric:
            msg = f"{name}: ranked by {record.metric}, but {runs[0].strategy} by {runs[0].metric}; raise the version of the protocol"
            raise RecordError(msg)
        other = first.setdefault(record.strategy == FULL_POOL, record)
        labels, expected = ([one.labeled for one in each.rounds] for each in (record, other))
        if labels != expected:
            msg = (
                f"{name}: label counts {labels}, but {other.strategy} has {expected}; raise the version of the protocol"
            )
            raise RecordError(msg)
