"""Submissions: a strategy from outside with what its author says of it and the records of its runs."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from leaderboard.schema.records import (
    Name,
    Record,
    Text,
    read_bytes,
    read_record,
    record_path,
    write_record,
    write_whole,
)
from leaderboard.scoring.survey import Survey, survey
from lossbench.config import ConfigError, Protocol, config_files, read_protocol, validated
from strategies import FULL_POOL, STRATEGIES

STRATEGY, META, RECORDS, REPLAY = "strategy.py", "meta.toml", "records", "replay"


class Meta(BaseModel):
    """What the author says: `meta.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    """Of the strategy, and of the folder."""
    title: Text
    authors: Annotated[tuple[Text, ...], Field(min_length=1, max_length=50)]
    paper: Text
    """Where it is described; "none" where it is not."""
    licence: Text
    """Of `strategy.py`, by its SPDX name."""
    summary: Text = ""
    kind: Text = "hybrid"
    needs: Text = ""
    cost: Text = ""
    deterministic: bool = True
    """Whether equal runs on one machine make equal records."""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    """Hyper-parameters, where they are not the defaults of `strategy.py`."""


@dataclass(frozen=True)
class Submission:
    """A folder below `leaderboard/submissions`."""

    folder: Path
    meta: Meta

    @classmethod
    def read(cls, folder: Path) -> Submission:
        """A submission as its author left it; nothing of it is run.

        Raises:
            ConfigError: a part is missing, or says what it may not.
        """
        for name in (STRATEGY, META):
            if not (folder / name).is_file():
                msg = f"{folder} has no {name}; a submission is a folder with {STRATEGY}, {META} and {RECORDS}/"
                raise ConfigError(msg)
        links = [path for path in folder.rglob("*") if path.is_symlink()]
        if links or folder.is_symlink():
            msg = f"{(links or [folder])[0]} is a link; a submission holds files alone"
            raise ConfigError(msg)
        meta = validated(Meta, _table(folder / META), folder / META)
        if meta.name != folder.resolve().name:
            msg = f"{folder / META}: the name is {meta.name!r}; a submission is named like its folder"
            raise ConfigError(msg)
        if meta.name in {FULL_POOL, *(each.name for each in STRATEGIES)}:
            msg = f"{folder / META}: a strategy of Lossbench is called {meta.name!r}; choose another name"
            raise ConfigError(msg)
        return cls(folder, meta)

    @property
    def strategy(self) -> Path:
        """Its code."""
        return self.folder / STRATEGY

    def records(self) -> Survey:
        """What it reports."""
        return survey(self.folder / RECORDS)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bytes(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:  # what is wrong with TOML, UTF-8 and numbers are ValueErrors
        msg = f"{path} is not TOML: {error}"
        raise ConfigError(msg) from None


def submissions(folder: Path) -> tuple[list[Submission], list[str]]:
    """Every submission below a folder, by name; and one line for each that cannot be read."""
    found, damages = [], []
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.is_dir():
            try:
                found.append(Submission.read(path))
            except (ConfigError, OSError) as error:
                damages.append(str(error))
    return found, damages


def faults(submission: Submission, protocols: Path) -> list[str]:
    """What is wrong with the reported records, as far as it can be seen without running anything."""
    found = submission.records()
    known = {path.stem: read_protocol(path) for path in config_files(protocols)}
    every = [*found.damages]
    for record in found.records:
        where = f"{record.protocol}, {record.track}, seed {record.seed}"
        every += [f"{where}: {fault}" for fault in _record_faults(record, submission, known)]
    return every


def _record_faults(record: Record, submission: Submission, known: dict[str, Protocol]) -> Iterator[str]:
    if record.strategy != submission.meta.name:
        yield f"the record is of {record.strategy}, not of {submission.meta.name}"
    if record.fingerprints.get("strategy") != hashlib.sha256(submission.strategy.read_bytes()).hexdigest():
        yield f"made by other code than the {STRATEGY} beside it; run that again"
    if record.reference:
        yield "a reference knows more than a strategy may, and cannot be submitted"
    if record.split != "test":
        yield f"measured on the {record.split} split; the board shows test scores"
    if not record.complete:
        yield f"{len(record.rounds)} of {record.planned_rounds} rounds"
    protocol = known.get(record.protocol)
    if protocol is None:
        yield f"no protocol {record.protocol} is known"
    else:
        yield from _protocol_faults(record, protocol)


def _protocol_faults(record: Record, protocol: Protocol) -> Iterator[str]:
    if record.version != protocol.version:
        yield f"made under protocol {record.version}; now there is {protocol.version}"
    elif record.config != protocol.model_dump(mode="json"):
        yield f"its config is not that of configs/tasks/{record.protocol}.toml"
    labels = [one.labeled for one in record.rounds]
    if labels != list(protocol.budget.labeled)[: len(labels)]:
        yield f"label counts {labels}; the protocol has {list(protocol.budget.labeled)}"
    counts = [len(one.picked) for one in record.rounds]
    wanted = [protocol.budget.step] * (protocol.budget.rounds - 1) + [0]
    if record.complete and counts != wanted:
        yield f"{counts} images picked; the protocol wants {wanted}"


def begin(strategy: Path, name: str, folder: Path) -> Path:
    """A submission's folder with a copy of the code and a `meta.toml` to fill in; what is there already stays."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    if strategy.resolve() != (place / STRATEGY).resolve():
        shutil.copyfile(strategy, place / STRATEGY)
    if not (place / META).exists():
        write_whole(place / META, META_TEMPLATE.format(name=name))
    return place


def collect(paths: Sequence[Path], place: Path) -> None:
    """Copy the records of runs into a submission's folder."""
    for path in paths:
        record = read_record(path)
        write_record(
            record,
            record_path(place / RECORDS, record.protocol, record.track, record.strategy, record.seed, record.split),
        )


META_TEMPLATE = """\
name = "{name}"
title = "{name}"
authors = ["your name"]
paper = "none"
licence = "Apache-2.0"  # of strategy.py; SPDX
summary = ""            # one sentence
deterministic = true    # whether equal runs on one machine make equal records
"""
