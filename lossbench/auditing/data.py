"""Faults of records that only the data of their protocol show: other data, images that could not be picked, wrong group counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from leaderboard.schema.records import Record
from leaderboard.scoring.entries import FULL_POOL
from lossbench.config import Protocol
from lossbench.paths import Paths
from lossbench.running.pool import Pool
from tasks.base import Task
from tasks.errors import DataError
from tasks.kinds import build_task


class DataAudit(NamedTuple):
    """What the data say about records."""

    faults: list[str]
    """One line a fault."""
    unchecked: list[str]
    """One line for each protocol that could not be checked, with the reason."""


def audit_data(records: Sequence[Record], protocols: Mapping[str, Protocol], paths: Paths) -> DataAudit:
    """Compare records with the data of their protocols. Nothing is trained; scenes are rendered where the cache lacks them.

    Args:
        records: the records; those that do not follow one of `protocols` are not checked.
        protocols: by name. A config inside a record is never built from: it could name code.
        paths: where the data and the cache lie.
    """
    faults, unchecked = [], []
    for name in sorted({record.protocol for record in records}):
        protocol = protocols.get(name)
        config = protocol.model_dump(mode="json") if protocol else None
        following = [record for record in records if record.protocol == name and record.config == config]
        if protocol is None or not following:
            unchecked.append(
                f"{name}: not checked against data, as Lossbench has no protocol of this name and these numbers"
            )
            continue
        try:
            task = build_task(protocol.task.untrained(), paths.data, paths.out / "cache", torch.device(paths.device))
        except DataError as error:
            unchecked.append(f"{name}: not checked against data: {error}")
            continue
        pool = Pool.of(task, protocol)
        for record in following:
            run = f"{name}, {record.track}, {record.strategy}, seed {record.seed}"
            faults += [f"{run}: {fault}" for fault in _faults(record, protocol, task, pool)]
    return DataAudit(faults, unchecked)


def _faults(record: Record, protocol: Protocol, task: Task[Any, Any], pool: Pool) -> Iterator[str]:
    for name, digest in task.fingerprints.items():
        if record.fingerprints.get(name) != digest:
            yield f"it was made on other data than lie here ({name})"
            return
    if record.strategy == FULL_POOL:
        if record.rounds and record.rounds[0].labeled != len(pool.eligible):
            yield f"it has {record.rounds[0].labeled} labels, and {len(pool.eligible)} images may be labeled"
        return
    labeled = pool.first_labels(record.first, record.seed, protocol.budget.initial)
    if (others := labeled[~np.isin(labeled, pool.eligible)]).size:
        yield f"image {others[0]} is among its first labels, and may not be labeled"
        return
    for number, one in enumerate(record.rounds):
        picked = np.array(one.picked, dtype=np.int64)
        if not picked.size:
            continue
        candidates = pool.candidates(record.seed, number, labeled, protocol.budget.subset)
        if (others := picked[~np.isin(picked, candidates)]).size:
            yield f"round {number} picks image {others[0]}, which is no candidate of that round"
            return
        counts = tuple(task.groups(picked, pool.group_reference).sum(0).tolist())
        if counts != one.group_counts:
            yield f"the group counts of round {number} are {list(one.group_counts)}, and those of its picks {list(counts)}"
        labeled = np.concatenate([labeled, picked])
