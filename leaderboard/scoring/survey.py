"""Folders of records, as they are found: what can be used, and what is damaged and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import NamedTuple

from leaderboard.schema.records import Record, RecordError, read_record, record_path
from leaderboard.scoring.entries import FULL_POOL, Key

MADE_HERE = ("trunk", "strategy")
"""Fingerprints of what a run makes or brings itself: they may differ between comparable runs."""


class Survey(NamedTuple):
    """What lies below a folder."""

    records: list[Record]
    """In the order of their paths."""
    damages: list[str]
    """One line for each file that is left out: where it is, what is wrong."""


def survey(folder: Path, submitted: Mapping[Path, str] | None = None) -> Survey:
    """Every record below a folder that can be read, that is named like its run, and that fits its neighbors.

    Args:
        folder: searched with all folders in it.
        submitted: further folders, each of which may hold records of one strategy alone.
    """
    found: dict[Path, Record] = {}
    damages = []
    for place, owner in {folder: None, **(submitted or {})}.items():
        for path in sorted(place.rglob("*.json")):
            try:
                found[path] = read_record(path)
            except RecordError as error:
                damages.append(str(error))
                continue
            if owner not in {None, found[path].strategy}:
                damages.append(f"{path}: a record of {found.pop(path).strategy} in the submission of {owner}")
    own = {path for path in found if path.is_relative_to(folder)}
    for faults in (_misnamed, _repeated, lambda left: _strangers(left, own)):
        for path, fault in faults(found).items():
            damages.append(f"{path}: {fault}")
            del found[path]
    return Survey(list(found.values()), sorted(damages))


def _misnamed(found: dict[Path, Record]) -> dict[Path, str]:
    names = {
        path: record_path(Path(), one.protocol, one.track, one.strategy, one.seed, one.split).name
        for path, one in found.items()
    }
    return {path: f"the record in it is of {name}" for path, name in names.items() if path.name != name}


def _repeated(found: dict[Path, Record]) -> dict[Path, str]:
    first: dict[tuple[object, ...], Path] = {}
    faults = {}
    for path, one in found.items():
        earlier = first.setdefault((*Key.of(one), one.strategy, one.seed), path)
        if earlier != path:
            faults[path] = f"the same run as {earlier}; keep one of the two"
    return faults


def _strangers(found: dict[Path, Record], own: Container[Path]) -> dict[Path, str]:
    """Runs whose numbers or data are not those of most of the board's own runs of their protocol; without any, of most."""
    whole = {path: one for path, one in found.items() if one.complete}
    odd = _minority(found, own, lambda one: (Key.of(one),), _protocol)
    odd += _minority(whole, own, lambda one: (Key.of(one), one.strategy == FULL_POOL), lambda one: repr(_labels(one)))
    odd += _minority(found, own, lambda one: (Key.of(one), one.strategy), lambda one: repr(one.strategy_config))
    usual = {path: f"most runs of {one.protocol}, version {one.version}" for path, one in found.items()}
    elsewhere = _minority(found, own, lambda one: (Key.of(one),), _data)
    return {path: f"other images or labels than {usual[path]}: their scores do not compare" for path in elsewhere} | {
        path: f"other numbers than {usual[path]}; raise the version of the protocol" for path in odd
    }


def _protocol(one: Record) -> str:
    return repr((one.metric, one.group_names, sorted(one.config.items())))


def _data(one: Record) -> str:
    return repr(sorted((name, digest) for name, digest in one.fingerprints.items() if name not in MADE_HERE))


def _labels(one: Record) -> list[int]:
    return [each.labeled for each in one.rounds]


def _minority(
    found: dict[Path, Record],
    own: Container[Path],
    group: Callable[[Record], tuple[object, ...]],
    numbers: Callable[[Record], str],
) -> list[Path]:
    """Those that differ from most records of their group; where the board has own records in it, these alone count."""
    counts: dict[tuple[object, ...], tuple[Counter[str], Counter[str]]] = {}
    for path, one in found.items():
        strangers, ours = counts.setdefault(group(one), (Counter(), Counter()))
        (ours if path in own else strangers)[numbers(one)] += 1
    usual = {key: (ours or strangers).most_common(1)[0][0] for key, (strangers, ours) in counts.items()}
    return [path for path, one in found.items() if numbers(one) != usual[group(one)]]
