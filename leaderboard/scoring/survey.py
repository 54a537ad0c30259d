"""Reads folders of records, and separates the valid ones from those that are damaged or not comparable."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import NamedTuple

from leaderboard.schema.records import Record, RecordError, read_record, record_path
from leaderboard.scoring.entries import FULL_POOL, Key

VARIABLE_FINGERPRINTS = ("trunk", "strategy")
"""Fingerprints that may differ between comparable runs: a trunk pre-trained on this machine, and the strategy's file."""

Records = dict[Path, Record]
"""Records by path."""


class Survey(NamedTuple):
    """The result of reading folders of records."""

    records: list[Record]
    """The valid and comparable records, in the order of their paths."""
    damages: list[str]
    """A line per file that is left out: its path and the reason."""


def survey(folder: Path, submitted: Mapping[Path, str] | None = None) -> Survey:
    """Read all records below some folders.

    A record is left out if it is not valid, if its file name is not that of its run, if its run was already read, or if it is
    not comparable with the other runs of its protocol.

    Args:
        folder: the leaderboard's own records; subfolders are searched, too.
        submitted: folders of submissions, with the only strategy whose records the folder may hold.
    """
    records: Records = {}
    damages = []
    for root, owner in {folder: None, **(submitted or {})}.items():
        for path in sorted(root.rglob("*.json")):
            try:
                records[path] = read_record(path)
            except RecordError as error:
                damages.append(str(error))
                continue
            if owner not in {None, records[path].strategy}:
                damages.append(f"{path}: a record of {records.pop(path).strategy} in the submission of {owner}")
    own = {path for path in records if path.is_relative_to(folder)}
    for check in (_misnamed, _duplicates, lambda remaining: _not_comparable(remaining, own)):
        for path, fault in check(records).items():
            damages.append(f"{path}: {fault}")
            del records[path]
    return Survey(list(records.values()), sorted(damages))


def _misnamed(records: Records) -> dict[Path, str]:
    """Faults, by path, of records whose file name is not that of their run."""
    names = {
        path: record_path(Path(), record.protocol, record.track, record.strategy, record.seed, record.split).name
        for path, record in records.items()
    }
    return {
        path: f"its name must be {name}, that of the run in it" for path, name in names.items() if path.name != name
    }


def _duplicates(records: Records) -> dict[Path, str]:
    """Faults, by path, of records of a run that an earlier path holds, too."""
    first: dict[tuple[object, ...], Path] = {}
    faults = {}
    for path, record in records.items():
        earlier = first.setdefault((*Key.of(record), record.strategy, record.seed), path)
        if earlier != path:
            faults[path] = f"the same run as {earlier}; delete one of the two"
    return faults


def _not_comparable(records: Records, own: Container[Path]) -> dict[Path, str]:
    """Faults, by path, of records whose settings or data differ from those of most runs of their protocol and version."""
    complete = {path: record for path, record in records.items() if record.complete}
    settings = _minority(records, own, lambda record: (Key.of(record),), _protocol)
    settings += _minority(complete, own, lambda record: (Key.of(record), record.strategy == FULL_POOL), _labels)
    settings += _minority(
        records, own, lambda record: (Key.of(record), record.strategy), lambda record: repr(record.strategy_config)
    )
    data = _minority(records, own, lambda record: (Key.of(record),), _data)
    most = {path: f"most runs of {record.protocol}, version {record.version}" for path, record in records.items()}
    return {path: f"other images or labels than {most[path]}; scores on them are not comparable" for path in data} | {
        path: f"other settings than {most[path]}; raise the version of its protocol" for path in settings
    }


def _protocol(record: Record) -> str:
    return repr((record.metric, record.group_names, json.dumps(record.config, sort_keys=True)))


def _data(record: Record) -> str:
    fingerprints = record.fingerprints.items()
    return repr(sorted((name, digest) for name, digest in fingerprints if name not in VARIABLE_FINGERPRINTS))


def _labels(record: Record) -> str:
    return repr([round_.labeled for round_ in record.rounds])


def _minority(
    records: Records,
    own: Container[Path],
    group: Callable[[Record], tuple[object, ...]],
    value: Callable[[Record], str],
) -> list[Path]:
    """The paths of records that differ from most records of their group.

    Args:
        records: the records.
        own: paths of the leaderboard's own records. If a group has such, they alone decide which value is the most common.
        group: the group of a record.
        value: the value in which the records of a group are compared.
    """
    counts: dict[tuple[object, ...], tuple[Counter[str], Counter[str]]] = {}
    for path, record in records.items():
        submitted_counts, own_counts = counts.setdefault(group(record), (Counter(), Counter()))
        (own_counts if path in own else submitted_counts)[value(record)] += 1
    most = {key: (ours or submitted).most_common(1)[0][0] for key, (submitted, ours) in counts.items()}
    return [path for path, record in records.items() if value(record) != most[group(record)]]
