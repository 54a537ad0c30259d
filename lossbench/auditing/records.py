"""Faults of records that no run can have: metrics beyond their bounds, counts against the protocol, picks that could not be picked.

Nothing is run and no data are read. What follows from the config of a record is checked for every record of a known kind of task:
metrics, label counts, the numbers of picks and of groups. Where the size of the pool is known, too, so are the places of the
picks. It is known for rendered scenes and for CIFAR-10, and otherwise from a training on the whole pool among the records.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from leaderboard.schema.records import Record
from leaderboard.scoring.entries import FULL_POOL, OWN_RANKING_ACCURACY, RANKING_ACCURACY
from leaderboard.scoring.survey import survey
from lossbench.config import RANDOM_FIRST, ConfigError, Protocol
from lossbench.running.pool import Pool, divided, needs_groups
from tasks.kind import SHARE, Bounds, TaskKind
from tasks.kinds import KindError, kind_named

if TYPE_CHECKING:  # torch takes a second to import, and checking records does not need it
    from tasks.base import Ids

ROUNDING = 1e-6
"""How far beyond its bounds a metric may lie: a sum of float32 weights that should be 1 can be a little more."""
OF_ALL_KINDS: Mapping[str, Bounds] = {RANKING_ACCURACY: SHARE, OWN_RANKING_ACCURACY: SHARE}
"""The bounds of the metrics that every kind of task has beside its own."""


def audit(records: Mapping[Path, Record], own: Container[Path]) -> dict[Path, str]:
    """The first fault of each record that has one, by path.

    Args:
        records: by path.
        own: paths of the leaderboard's own records; only they tell how large a pool is.
    """
    sizes = _pool_sizes([record for path, record in records.items() if path in own])
    by_seed = sorted(records, key=lambda path: (records[path].protocol, records[path].seed))  # they share their draws
    faults = {path: next(impossible(records[path], sizes.get(_data(records[path]))), None) for path in by_seed}
    return {path: f"cannot be of a run: {fault}" for path in records if (fault := faults[path])}


def impossible(record: Record, pool_size: int | None = None) -> Iterator[str]:
    """What no run under the record's protocol can give.

    Args:
        record: of a kind of task that this process knows; others have no faults here.
        pool_size: the number of pool images where the protocol does not tell it; None if it is unknown.
    """
    try:
        kind, protocol = _kind(record), _protocol(_config(record))
    except KindError:
        return
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        yield f"its config is no protocol ({'.'.join(map(str, first['loc']))}: {first['msg']})"
        return
    if (protocol.name, protocol.version) != (record.protocol, record.version):
        yield f"its config is of {protocol.name}, version {protocol.version}"
    yield from _metric_faults(record, kind)
    yield from _count_faults(record, protocol)
    yield from _group_faults(record, kind)
    size = kind.pool_size(protocol.task) or pool_size
    if size is not None:
        yield from _place_faults(record, protocol, size)


def _kind(record: Record) -> TaskKind:
    """The kind of a record's task; a KindError if the record names none that is known."""
    table = record.config.get("task")
    return kind_named(table.get("kind") if isinstance(table, dict) else None)


def _data(record: Record) -> tuple[str, str] | None:
    """What records with the same pool have in common; None if the record does not say which data it used."""
    digest = record.fingerprints.get("pool", record.fingerprints.get("data"))
    table = record.config.get("task")
    return (digest, repr(table.get("kind"))) if digest and isinstance(table, dict) else None


def _config(record: Record) -> str:
    """The config of a record as text, by which protocols and pools are kept: most records share theirs with others."""
    return json.dumps(record.config, sort_keys=True)


@lru_cache(maxsize=64)
def _protocol(config: str) -> Protocol:
    return Protocol.model_validate(json.loads(config))


@lru_cache(maxsize=16)
def _held_out(size: int, validation: int) -> frozenset[int]:
    return frozenset(divided(size, validation)[1].tolist())


@lru_cache(maxsize=16)
def _pool(config: str, size: int) -> Pool:
    return Pool.without_labels(size, _protocol(config))


@lru_cache(maxsize=64)
def _turns(config: str, size: int, seed: int, number: int) -> Ids:
    return _pool(config, size).turns(seed, number)


def _pool_sizes(own: list[Record]) -> dict[tuple[str, str] | None, int]:
    """The number of pool images by data, from trainings on the whole pool."""
    sizes: dict[tuple[str, str] | None, int] = {}
    for record in own:
        if record.strategy == FULL_POOL and record.complete and (data := _data(record)) is not None:
            try:
                protocol = _protocol(_config(record))
            except (KindError, ValidationError):
                continue
            if not needs_groups(protocol.stress):
                sizes[data] = record.rounds[0].labeled + protocol.task.data.validation
    return sizes


def _metric_faults(record: Record, kind: TaskKind) -> Iterator[str]:
    bounds = {**OF_ALL_KINDS, **kind.bounds}
    if kind.bounds and record.metric.name not in kind.bounds:
        yield f"it is ranked by {record.metric.name}, which {kind.name} does not have"
    for number, one in enumerate(record.rounds):
        for name, value in one.metrics.items():
            lowest, highest = bounds.get(name, (-np.inf, np.inf))
            if not lowest - ROUNDING <= value <= highest + ROUNDING:
                yield f"{name} of round {number} is {value:g}, and its bounds are {lowest:g} and {highest:g}"


def _count_faults(record: Record, protocol: Protocol) -> Iterator[str]:
    budget = protocol.budget
    full = record.strategy == FULL_POOL
    planned = 1 if full else budget.rounds
    chosen = 0 if full or budget.first == RANDOM_FIRST else budget.initial
    if len(record.first) != chosen:
        yield f"it holds {len(record.first)} chosen first labels, and the protocol wants {chosen}"
    if record.planned_rounds != planned:
        yield f"{record.planned_rounds} rounds were planned, and the protocol has {planned}"
    for number, one in enumerate(record.rounds):
        labels = one.labeled if full else budget.initial + number * budget.step
        picks = budget.step if number < planned - 1 else 0
        if one.labeled != labels:
            yield f"round {number} has {one.labeled} labels, and the protocol gives {labels}"
        if len(one.picked) != picks:
            yield f"round {number} has {len(one.picked)} picks, and the protocol wants {picks}"


def _group_faults(record: Record, kind: TaskKind) -> Iterator[str]:
    for number, one in enumerate(record.rounds):
        wanted = len(record.group_names) if one.picked else 0
        if len(one.group_counts) != wanted:
            yield f"round {number} has {len(one.group_counts)} group counts, and {wanted} are wanted"
        elif kind.one_group and sum(one.group_counts) != len(one.picked):
            yield (
                f"the group counts of round {number} add up to {sum(one.group_counts)}, and it has {len(one.picked)} picks, "
                "each in one group"
            )


def _place_faults(record: Record, protocol: Protocol, size: int) -> Iterator[str]:
    for number, one in enumerate(record.rounds):
        if (place := max(one.picked, default=0)) >= size:
            yield f"round {number} picks image {place}, and the pool has images 0 to {size - 1}"
            return
    if (place := max(record.first, default=0)) >= size:
        yield f"image {place} is among its first labels, and the pool has images 0 to {size - 1}"
        return
    held_out = _held_out(size, protocol.task.data.validation)
    eligible = size - len(held_out)
    if record.strategy == FULL_POOL:
        if record.rounds and not needs_groups(protocol.stress) and record.rounds[0].labeled != eligible:
            yield f"it has {record.rounds[0].labeled} labels, and {eligible} images may be labeled"
        return
    if taken := held_out & set(record.first):
        yield f"image {min(taken)} is among its first labels, and is held out for validation"
    for number, one in enumerate(record.rounds):
        if taken := held_out & set(one.picked):
            yield f"round {number} picks image {min(taken)}, which is held out for validation"
    if not needs_groups(protocol.stress):
        yield from _candidate_faults(record, protocol, size)


def _candidate_faults(record: Record, protocol: Protocol, size: int) -> Iterator[str]:
    """Picks among the first labels, and picks that are no candidates of their round."""
    config = _config(record)
    try:
        pool = _pool(config, size)
    except ConfigError as error:
        yield str(error)
        return
    labeled = pool.first_labels(record.first, record.seed, protocol.budget.initial)
    first = set(labeled.tolist())
    for number, one in enumerate(record.rounds):
        if not one.picked:
            continue
        picked = np.array(one.picked, dtype=np.int64)
        candidate = are_candidates(picked, labeled, _turns(config, size, record.seed, number), protocol.budget.subset)
        if taken := first & set(one.picked):
            yield f"round {number} picks image {min(taken)}, which is among the first labels"
        elif not candidate.all():
            yield f"round {number} picks image {picked[~candidate][0]}, which is no candidate of that round"
        labeled = np.concatenate([labeled, picked])


def are_candidates(picked: Ids, labeled: Ids, turns: Ids, subset: int | None) -> NDArray[np.bool_]:
    """Which picks are among the candidates that `Pool.candidates` gives for a round, without drawing these.

    Args:
        picked: the picks of the round.
        labeled: the images labeled before it.
        turns: those of the round; see `Pool.turns`.
        subset: the number of candidates; None for all images that are not labeled.
    """
    taken, own = np.sort(turns[labeled]), turns[picked]
    taken = taken[np.diff(taken, prepend=-1) > 0]
    earlier = np.searchsorted(taken, own)
    can_be_labeled = (own >= 0) & (np.searchsorted(taken, own, side="right") == earlier)
    return can_be_labeled if subset is None else can_be_labeled & (own - earlier < subset)


checked_survey = partial(survey, audit=audit)
"""Reads folders of records as `survey` does, and leaves out those with the faults of this module."""
