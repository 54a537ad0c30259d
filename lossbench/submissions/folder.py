"""A submission on disk: a strategy's code, what its author states about it, and the records of its runs."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue

from leaderboard.schema.records import (
    Name,
    Record,
    RecordError,
    Text,
    read_record,
    record_path,
    write_record,
    write_whole,
)
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.survey import Survey, printable, survey
from lossbench.auditing.records import impossible
from lossbench.config import ConfigError, Protocol, validated
from lossbench.config_files import config_files, read_protocol
from lossbench.files import LARGEST_TOML, UnfitFileError, parsed_toml, read_regular
from strategies import FULL_POOL, STRATEGIES
from tasks.outside.files import read_source

STRATEGY, META, RECORDS, REPLAY = "strategy.py", "meta.toml", "records", "replay"
"""Names inside a submission's folder: code, author's statements, the author's records, the records of the verifier's reruns."""


class Meta(BaseModel):
    """The content of `meta.toml`: what the author states about a submission."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    """Name of the strategy and of the submission's folder."""
    title: Text
    authors: Annotated[tuple[Text, ...], Field(min_length=1, max_length=50)]
    paper: Text
    """The paper that describes the strategy; "none" if there is no paper."""
    license: Annotated[Text, Field(validation_alias=AliasChoices("license", "licence"))]
    """SPDX name of the license of `strategy.py`. Files of version 0.1 call it `licence`."""
    summary: Text = ""
    kind: Text = "hybrid"
    needs: Text = ""
    cost: Text = ""
    deterministic: bool = True
    """Whether two runs under one seed on one machine give equal records."""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    """Hyper-parameters that differ from the defaults of `strategy.py`."""


@dataclass(frozen=True)
class Submission:
    """One folder below `leaderboard/submissions`."""

    folder: Path
    meta: Meta

    @classmethod
    def read(cls, folder: Path) -> Submission:
        """Read a submission without running its code.

        Raises:
            ConfigError: a file is missing or invalid, or the folder contains a link.
        """
        for name in (STRATEGY, META):
            if not (folder / name).is_file():
                msg = f"{folder} has no {name}; a submission is a folder with {STRATEGY}, {META} and {RECORDS}/"
                raise ConfigError(msg)
        links = [path for path in folder.rglob("*") if path.is_symlink()]
        if links or folder.is_symlink():
            msg = f"{(links or [folder])[0]} is a link; replace it by a file"
            raise ConfigError(msg)
        meta = validated(Meta, _read_toml(folder / META), folder / META)
        if meta.name != folder.resolve().name:
            msg = f"{folder / META}: the name {meta.name!r} differs from the folder's name; make them equal"
            raise ConfigError(msg)
        if meta.name in {FULL_POOL, *(strategy.name for strategy in STRATEGIES)}:
            msg = f"{folder / META}: Lossbench has a strategy named {meta.name!r}; choose another name"
            raise ConfigError(msg)
        return cls(folder, meta)

    @property
    def strategy_file(self) -> Path:
        """The path of the strategy's code."""
        return self.folder / STRATEGY

    def records(self) -> Survey:
        """The records that the author submitted, and the files among them that cannot be read."""
        return survey(self.folder / RECORDS)

    def random_runs(self, like: Record) -> list[Record]:
        """The leaderboard's own sound and complete runs of random, of the protocol, version and track of a record."""
        folder = self.folder.resolve().parents[1] / RECORDS / like.split / like.protocol
        runs = []
        for path in sorted(folder.glob(f"{BASELINE}-{like.track}-s*.json")):
            with suppress(RecordError):  # `leaderboard check` names it; it is no fault of this submission
                run = read_record(path)
                runs += [run] if run.complete and run.version == like.version else []
        return runs


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return parsed_toml(read_regular(path, LARGEST_TOML, links=False))
    except (UnfitFileError, OSError) as error:
        msg = f"{path} cannot be read: {error.strerror if isinstance(error, OSError) else error}"
    except ValueError as error:
        msg = f"{path} is not TOML: {error}"
    raise ConfigError(msg)


def submissions(folder: Path) -> tuple[list[Submission], list[str]]:
    """All submissions below a folder.

    Returns:
        The submissions, sorted by name, and one message for each that cannot be read.
    """
    entries, damages = [], []
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.is_dir():
            try:
                entries.append(Submission.read(path))
            except (ConfigError, OSError) as error:
                damages.append(printable(str(error)))
    return entries, damages


def protocols_in(folder: Path) -> dict[str, Protocol]:
    """The protocols below a folder, by name."""
    return {path.stem: read_protocol(path) for path in config_files(folder)}


def record_faults(submission: Submission, protocols: Mapping[str, Protocol]) -> list[str]:
    """Faults of the submitted records that can be found without running the strategy, one message each.

    Args:
        submission: the submission to check.
        protocols: all protocols, by name.
    """
    submitted = submission.records()
    messages = [*submitted.damages]
    if not submitted.records and not submitted.damages:
        messages.append(f"there are no records in {submission.folder / RECORDS}; run `lossbench submission create`")
    for record in submitted.records:
        run = f"{record.protocol}, {record.track}, seed {record.seed}"
        messages += [f"{run}: {fault}" for fault in _faults_of(record, submission, protocols)]
    return messages


def _faults_of(record: Record, submission: Submission, known: Mapping[str, Protocol]) -> Iterator[str]:
    if record.strategy != submission.meta.name:
        yield f"the record is of strategy {record.strategy}, not of {submission.meta.name}"
    if record.fingerprints.get("strategy") != hashlib.sha256(submission.strategy_file.read_bytes()).hexdigest():
        yield f"the record was made with code that differs from the submitted {STRATEGY}; repeat the run"
    if record.reference:
        yield "the record is of a reference method, which reads hidden labels; it cannot be submitted"
    if record.split != "test":
        yield f"the record was measured on the {record.split} split; submit runs on the test split"
    if not record.complete:
        yield f"the record has {len(record.rounds)} of {record.planned_rounds} rounds; complete the run"
    protocol = known.get(record.protocol)
    if protocol is None:
        yield f"there is no protocol {record.protocol}"
    elif faults := [*_protocol_faults(record, protocol)]:
        yield from faults
    else:
        yield from impossible(record)


def _protocol_faults(record: Record, protocol: Protocol) -> Iterator[str]:
    if record.version != protocol.version:
        yield f"the record follows version {record.version} of the protocol; the current version is {protocol.version}"
    elif record.config != protocol.model_dump(mode="json"):
        yield f"the record's config differs from the protocol {record.protocol}"
    labels, planned = [one.labeled for one in record.rounds], list(protocol.budget.labeled)
    if labels != planned[: len(labels)]:
        yield f"the record has label counts {labels}; the protocol has {planned}"
    counts = [len(one.picked) for one in record.rounds]
    expected = [protocol.budget.step] * (protocol.budget.rounds - 1) + [0]
    if record.complete and counts != expected:
        yield f"the record has {counts} picked images per round; the protocol has {expected}"


def create_submission(strategy: Path, name: str, folder: Path) -> Path:
    """Create a submission: a copy of the code and a template of `meta.toml`. What is there is kept.

    Args:
        strategy: the file of the strategy.
        name: the strategy's name, which names the new folder.
        folder: the folder of all submissions.

    Returns:
        The submission's folder.

    Raises:
        ConfigError: the strategy is not one file, or there is a submission of this name with other code.
    """
    require_one_file(strategy)
    path = folder / name
    own = path / STRATEGY
    if own.exists() and own.read_bytes() != strategy.read_bytes():
        msg = f"{own} is other code than {strategy}; give yours another name, or change {own} and create {path} again"
        raise ConfigError(msg)
    path.mkdir(parents=True, exist_ok=True)
    if not own.exists():
        shutil.copyfile(strategy, own)
    if not (path / META).exists():
        write_whole(path / META, META_TEMPLATE.format(name=name))
    return path


def require_one_file(strategy: Path) -> None:
    """Raise a ConfigError if there is no such file, or if it imports a module that lies beside it."""
    if not strategy.is_file():
        msg = f"no strategy file {strategy}"
        raise ConfigError(msg)
    siblings = read_source(strategy).siblings
    if siblings:
        msg = (
            f"{strategy} imports {siblings[0].name}, a module beside it; a submission is one file: move its code there"
        )
        raise ConfigError(msg)


def add_records(paths: Sequence[Path], folder: Path) -> None:
    """Copy records of runs into a submission's folder."""
    for path in paths:
        record = read_record(path)
        target = record_path(
            folder / RECORDS, record.protocol, record.track, record.strategy, record.seed, record.split
        )
        write_record(record, target)


META_TEMPLATE = """\
name = "{name}"
title = "{name}"
authors = ["your name"]
paper = "none"
license = "Apache-2.0"  # of strategy.py, as an SPDX name
summary = ""            # one sentence
deterministic = true    # whether two runs under one seed on one machine give equal records
"""
