"""Reads folders of records, and separates the valid ones from those that are damaged or not comparable."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from leaderboard.schema.records import Record, RecordError, read_record, record_path
from leaderboard.scoring.entries import FULL_POOL, Key

VARIABLE_FINGERPRINTS = ("trunk", "strategy")
"""Fingerprints that may differ between comparable runs: a trunk pre-trained on this machine, and the strategy's file."""

MODEL_FINGERPRINTS = ("model", "weights")
"""Fingerprints of a model from a user's file, and of weights from outside."""
FOLDERS = ("test", "validation", "variations")
"""Folders that may stand between a folder of records and those of its protocols."""
Records = dict[Path, Record]
"""Records by path."""
Audit = Callable[[Records, Container[Path]], Mapping[Path, str]]
"""Faults, by path, of records that cannot be of a real run; the second argument holds the leaderboard's own paths."""


class Survey(NamedTuple):
    """The result of reading folders of records."""

    records: list[Record]
    """The valid and comparable records, in the order of their paths."""
    damages: list[str]
    """A line per file that is left out: its path and the reason."""


def survey(folder: Path, submitted: Mapping[Path, str] | None = None, audit: Audit = lambda *_: {}) -> Survey:
    """Read the leaderboard's records and those of submissions.

    A record is left out if it is not valid or holds no round, if its folder or file name is not that of its run, if `audit`
    finds a fault, if another file holds its run, or if it is not comparable with the other runs of its protocol.

    Args:
        folder: the leaderboard's own records; subfolders are searched, too.
        submitted: the folder of each submission, and the name of its strategy: records of other strategies there are left out.
        audit: finds records that their protocol rules out.
    """
    records: Records = {}
    damages = []
    roots = {folder: None, **(submitted or {})}
    for root, owner in roots.items():
        for path in sorted(root.rglob("*.json")):
            try:
                records[path] = read_record(path)
            except RecordError as error:
                damages.append(str(error))
                continue
            if owner not in {None, records[path].strategy}:
                damages.append(f"{path}: a record of {records.pop(path).strategy} in the submission of {owner}")
    own = {path for path in records if path.is_relative_to(folder)}
    checks = (_empty, _misplaced, lambda remaining: audit(remaining, own))
    later = (lambda remaining: _duplicates(remaining, [*roots]), lambda remaining: _not_comparable(remaining, own))
    for check in (*checks, *later):
        for path, fault in check(records).items():
            damages.append(f"{path}: {fault}")
            del records[path]
    return Survey(list(records.values()), sorted(map(printable, damages)))


def printable(line: str) -> str:
    """A line with the bytes of a file name that is not UTF-8 written out, which no text file could hold."""
    return line.encode("utf-8", "backslashreplace").decode()


def _empty(records: Records) -> dict[Path, str]:
    """Faults, by path, of records without a round: a run writes its record after its first round."""
    return {path: "holds no round; delete it and run again" for path, record in records.items() if not record.rounds}


def _misplaced(records: Records) -> dict[Path, str]:
    """Faults, by path, of records whose file name or folder is not that of their run."""
    faults = {}
    for path, record in records.items():
        proper, place = _relative_path(record), path.absolute().parent
        if path.name != proper.name:
            faults[path] = f"its name must be {proper.name}, that of the run in it"
        elif place.name != record.protocol:
            faults[path] = f"its folder must be {record.protocol}, the protocol of the run in it"
        elif (parent := place.parent.name) in FOLDERS and parent != _folder_of(record):
            faults[path] = f"it lies in {parent}, and a record of its kind belongs in {_folder_of(record)}"
    return faults


def _relative_path(record: Record) -> Path:
    return record_path(Path(), record.protocol, record.track, record.strategy, record.seed, record.split)


def _folder_of(record: Record) -> str:
    return "variations" if "base" in record.config else record.split


def _duplicates(records: Records, roots: Sequence[Path]) -> dict[Path, str]:
    """Faults, by path, of records of a run that another path holds, too.

    The file at the place of its run counts: PROTOCOL/FILE below the folder of records, or below its folder `test`,
    `validation` or `variations`. If no file is there, or files in more than one, and they differ, none of them counts.

    Args:
        records: the records.
        roots: the folders that were read, the leaderboard's own first: its record counts before a submission's.
    """
    runs: dict[tuple[object, ...], list[Path]] = {}
    for path, record in records.items():
        runs.setdefault((*Key.of(record), record.strategy, record.seed), []).append(path)
    faults = {}
    for paths in runs.values():
        if len(paths) > 1:
            counting = _counting(paths, records, roots)
            for path in paths:
                if path != counting:
                    other = counting or next(each for each in paths if each != path)
                    faults[path] = f"the same run as {other}; delete one of the two"
    return faults


def _counting(paths: Sequence[Path], records: Records, roots: Sequence[Path]) -> Path | None:
    """Which of several files of one run counts; None if it cannot be told."""
    record = records[paths[0]]
    for root in roots:
        places = {root / _relative_path(record), root / _folder_of(record) / _relative_path(record)}
        if found := [path for path in paths if path in places]:
            return found[0] if all(records[path] == records[found[0]] for path in found) else None
    return paths[0] if all(records[path] == record for path in paths) else None


def _not_comparable(records: Records, own: Container[Path]) -> dict[Path, str]:
    """Faults, by path, of records whose settings or data differ from those of most runs of their protocol and version."""
    complete = {path: record for path, record in records.items() if record.complete}
    settings = _minority(records, own, lambda record: (Key.of(record),), _protocol)
    settings += _minority(complete, own, lambda record: (Key.of(record), record.strategy == FULL_POOL), _labels)
    parameters = _minority(
        records, own, lambda record: (Key.of(record), record.strategy), lambda record: repr(record.strategy_config)
    )
    models, data = (
        _minority(records, own, lambda record: (Key.of(record),), partial(_inputs, model=model))
        for model in (True, False)
    )
    most = {path: f"most runs of {record.protocol}, version {record.version}" for path, record in records.items()}
    faults = {path: f"other settings than {most[path]}; raise the version of its protocol" for path in settings}
    for path in parameters:
        faults[path] = f"{records[path].strategy} has other hyper-parameters than in most runs; give it another name"
    for path in models:
        faults[path] = f"another model, or other weights, than {most[path]}; scores are not comparable"
    for path in data:
        faults[path] = f"other images or labels than {most[path]}; scores on them are not comparable"
    return faults


def _protocol(record: Record) -> str:
    return repr((record.metric, record.group_names, json.dumps(record.config, sort_keys=True)))


def _inputs(record: Record, *, model: bool) -> str:
    """The fingerprints of a run's model, or those of its data."""
    fixed = [name for name in sorted(record.fingerprints) if name not in VARIABLE_FINGERPRINTS]
    return repr([(name, record.fingerprints[name]) for name in fixed if (name in MODEL_FINGERPRINTS) == model])


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
