"""Faults of records that no run can have: metrics beyond their bounds, counts against the protocol, picks that could not be picked.

Nothing is run and no data are read. What follows from the config of a record is checked for every record of a known kind of task:
metrics, label counts, the numbers of picks and of groups. Where the size of the pool is known, too, so are the places of the
picks. It is known for rendered scenes and for CIFAR-10, and otherwise from a training on the whole pool among the records.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from leaderboard.schema.records import Record
from leaderboard.scoring.entries import FULL_POOL, OWN_RANKING_ACCURACY, RANKING_ACCURACY
from leaderboard.scoring.survey import survey
from lossbench.config import RANDOM_FIRST, ConfigError, Protocol
from lossbench.running.pool import Pool, divided, needs_groups
from tasks.kind import SHARE, Bounds, TaskKind
from tasks.kinds import KindError, kind_named

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
    faults = {path: next(impossible(record, sizes.get(_data(record))), None) for path, record in records.items()}
    return {path: f"cannot be of a run: {fault}" for path, fault in faults.items() if fault}


def impossible(record: Record, pool_size: int | None = None) -> Iterator[str]:
    """What no run under the record's protocol can give.

    Args:
        record: of a kind of task that this process knows; others have no faults here.
        pool_size: the number of pool images where the protocol does not tell it; None if it is unknown.
    """
    try:
        kind = _kind(record)
        protocol = Protocol.model_validate(record.config)
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


def _pool_sizes(own: list[Record]) -> dict[tuple[str, str] | None, int]:
    """The number of pool images by data, from trainings on the whole pool."""
    sizes: dict[tuple[str, str] | None, int] = {}
    for record in own:
        if record.strategy == FULL_POOL and record.complete and (data := _data(record)) is not None:
            try:
                protocol = Protocol.model_validate(record.config)
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
    eligible, validation = divided(size, protocol.task.data.validation)
    if record.strategy == FULL_POOL:
        if record.rounds and not needs_groups(protocol.stress) and record.rounds[0].labeled != len(eligible):
            yield f"it has {record.rounds[0].labeled} labels, and {len(eligible)} images may be labeled"
        return
    held_out = set(validation.tolist())
    if taken := held_out & set(record.first):
        yield f"image {min(taken)} is among its first labels, and is held out for validation"
    for number, one in enumerate(record.rounds):
        if taken := held_out & set(one.picked):
            yield f"round {number} picks image {min(taken)}, which is held out for validation"
    if not needs_groups(protocol.stress):
        yield from _candidate_faults(record, protocol, size)


def _candidate_faults(record: Record, protocol: Protocol, size: int) -> Iterator[str]:
    """Picks among the first labels, and picks that are no candidates of their round."""
    try:
        pool = Pool.without_labels(size, protocol)
    except ConfigError as error:
        yield str(error)
        return
    labeled = pool.first_labels(record.first, record.seed, protocol.budget.initial)
    first = set(labeled.tolist())
    for number, one in enumerate(record.rounds):
        if not one.picked:
            continue
        picked = np.array(one.picked, dtype=np.int64)
        candidate = np.zeros(size, dtype=bool)
        candidate[pool.candidates(record.seed, number, labeled, protocol.budget.subset)] = True
        if taken := first & set(one.picked):
            yield f"round {number} picks image {min(taken)}, which is among the first labels"
        elif not candidate[picked].all():
            yield f"round {number} picks image {picked[~candidate[picked]][0]}, which is no candidate of that round"
        labeled = np.concatenate([labeled, picked])


checked_survey = partial(survey, audit=audit)
"""Reads folders of records as `survey` does, and leaves out those with the faults of this module."""
