"""Records: one JSON file per run. All numbers of the leaderboard are computed from records."""

from __future__ import annotations

import json
import os
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from leaderboard.schema.upgrades import upgraded
from lossbench.errors import LossbenchError
from lossbench.files import part_of, read_regular

SCHEMA = 2
LARGEST_BYTES = 64 << 20
"""The largest file that is read: 64 MiB."""
LARGEST = 1e9
"""The largest size of a number."""
Seconds = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False, strict=True)]  # strict: no `true`, no `"0.9"`
Finite = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=0, le=2**31, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
"""The name of a protocol or a strategy: it becomes a part of file names and links."""
Text = Annotated[str, Field(max_length=200)]
Track = Literal["shared", "native"]
Split = Literal["test", "validation"]


class RecordError(LossbenchError):
    """A record is not valid. The message names the file, the fault and a remedy."""


class Part(BaseModel):
    """Base class of all parts of a record: frozen, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnyPart = TypeVar("AnyPart", bound=Part)


class MetricInfo(Part):
    """The metric that ranks the strategies on a protocol."""

    name: Text
    unit: Text
    larger_is_better: Flag

    @property
    def title(self) -> str:
        """The name with the unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


class Phases(Part):
    """Seconds of one round by phase. `forward`, `score` and `pick` are the phases of selection."""

    fit: Seconds
    evaluate: Seconds
    forward: Seconds = 0.0
    score: Seconds = 0.0
    pick: Seconds = 0.0

    @property
    def select(self) -> float:
        """Seconds of selection: from the trained model to the picked ids."""
        return self.forward + self.score + self.pick


class Round(Part):
    """One round: the metrics of a model that was trained on `labeled` images, and the images picked with it."""

    labeled: Annotated[Count, Field(ge=1)]
    """The number of labeled images."""
    metrics: dict[str, Finite]
    """The metrics of the trained model by name, on the record's split."""
    picked: tuple[Count, ...] = ()
    """Pool positions in the order of picking; empty in the last round."""
    group_counts: tuple[Count, ...] = ()
    """The number of `picked` images in each of the task's groups. An image can be in several groups or in none."""
    seconds: Phases
    peak_memory_mebibytes: Annotated[Finite, Field(ge=0)]
    """Peak resident memory of the process since the run was started or resumed; on CUDA, peak memory of tensors."""


class Machine(Part):
    """The machine of a run. Seconds compare between equal machines only, and so do runs on a CPU bit for bit."""

    processor: Text
    device: Text
    threads: Annotated[Count, Field(ge=1)]
    python: Text
    torch: Text


class Record(Part):
    """One run of one strategy on one protocol under one seed."""

    schema_number: Literal[2] = SCHEMA
    protocol: Name
    """The name of the protocol, for instance `cifar10-mini`."""
    version: Annotated[int, Field(ge=1, le=9999, strict=True)]
    """The version of the protocol. It rises with every change of the protocol; records of different versions never mix."""
    track: Track
    strategy: Name
    reference: Flag = False
    """Whether the run used true losses or labels that strategies may not read. Such runs are shown and never ranked."""
    seed: Count
    split: Split
    """The images that the metrics were measured on. `validation` is for choosing settings and never on the leaderboard."""
    metric: MetricInfo
    """The metric that ranks the strategies."""
    group_names: tuple[Text, ...]
    """The names of the task's groups of images, in the order of `group_counts`."""
    config: dict[str, JsonValue]
    """The complete protocol."""
    strategy_config: dict[str, JsonValue]
    """The hyper-parameters of the strategy."""
    fingerprints: dict[str, str] = {}
    """SHA-256 of the inputs from outside this repository, by name: data, pre-trained weights, a strategy's file."""
    machine: Machine
    commit: Text
    """The commit of this repository that made the run."""
    planned_rounds: Annotated[Count, Field(ge=1)]
    first: tuple[Count, ...] = Field(default=(), exclude_if=lambda first: not first)
    """The images labeled before the first round, where a strategy picked them; drawn ones follow from the seed."""
    rounds: tuple[Round, ...]

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, table: Any) -> Any:
        return upgraded(cast("dict[str, Any]", table)) if isinstance(table, dict) else table

    @model_validator(mode="after")
    def _consistent(self) -> Record:
        if len(self.rounds) > self.planned_rounds:
            msg = f"{len(self.rounds)} rounds are recorded, but only {self.planned_rounds} were planned"
            raise ValueError(msg)
        for number, round_ in enumerate(self.rounds):
            if fault := _group_fault(round_, len(self.group_names)):
                msg = f"round {number} {fault}"
                raise ValueError(msg)
        picked = [*self.first, *chain.from_iterable(round_.picked for round_ in self.rounds)]
        if len(picked) != len(set(picked)):
            msg = "an image is labeled twice"
            raise ValueError(msg)
        if any(self.metric.name not in round_.metrics for round_ in self.rounds):
            msg = f"a round lacks {self.metric.name}, the ranking metric"
            raise ValueError(msg)
        labels = [round_.labeled for round_ in self.rounds]
        if any(later <= earlier for earlier, later in pairwise(labels)):
            msg = f"label counts must rise from round to round, got {labels}"
            raise ValueError(msg)
        return self

    def going_on(self, machine: Machine, commit: str) -> Record:
        """The record of this run when it is resumed on another machine or at another commit.

        Its machine and commit name both, the earlier first, so that its seconds are not compared with those of either machine.
        """
        values = machine.model_dump()
        joined = {name: _joined(value, values[name]) for name, value in self.machine if isinstance(value, str)}
        update = {"machine": self.machine.model_copy(update=joined), "commit": _joined(self.commit, commit)}
        return self.model_copy(update=update)

    @property
    def complete(self) -> bool:
        """Whether the record has all planned rounds."""
        return len(self.rounds) == self.planned_rounds

    @cached_property
    def picked(self) -> frozenset[int]:
        """All images that the run picked, as pool positions."""
        return frozenset(chain.from_iterable(each.picked for each in self.rounds))

    @property
    def score(self) -> tuple[float, ...]:
        """The ranking metric of every round."""
        return tuple(round_.metrics[self.metric.name] for round_ in self.rounds)


def _group_fault(round_: Round, groups: int) -> str | None:
    """What is wrong with the group counts of a round; None if nothing is."""
    counts, picks = round_.group_counts, len(round_.picked)
    if len(counts) not in {0, groups}:
        return f"has {len(counts)} group counts, and the record names {groups} groups"
    if max(counts, default=0) > picks:
        return f"counts {max(counts)} images of a group among {picks} picks"
    return None


def _joined(earlier: str, later: str) -> str:
    """Two texts joined in the order of time; `earlier` alone if it already ends with `later`."""
    return earlier if earlier.rsplit(", then ", maxsplit=1)[-1] == later else f"{earlier}, then {later}"[:200]


def record_path(folder: Path, protocol: str, track: str, strategy: str, seed: int, split: str = "test") -> Path:
    """The path of a run's record below `folder`."""
    suffix = "" if split == "test" else f"-{split}"
    return folder / protocol / f"{strategy}-{track}-s{seed}{suffix}.json"


def write_record(record: Record, path: Path) -> None:
    """Write a record atomically."""
    write_whole(path, record_text(record))


def record_text(record: Record) -> str:
    """A record as JSON, with one line per field and one line per round."""
    table = json.loads(record.model_dump_json())
    fields = {name: json.dumps(value, ensure_ascii=False) for name, value in table.items()}
    if record.rounds:
        lines = (json.dumps(round_, ensure_ascii=False, separators=(",", ":")) for round_ in table["rounds"])
        fields["rounds"] = "[\n  " + ",\n  ".join(lines) + "\n ]"
    return "{\n" + ",\n".join(f' "{name}": {value}' for name, value in fields.items()) + "\n}\n"


def write_whole(path: Path, text: str) -> None:
    """Write a text file atomically: a crash leaves the old file or the new one, never a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = part_of(path)
    try:
        temporary.unlink(missing_ok=True)  # if it is a symbolic link, do not write to its target
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_record(path: Path) -> Record:
    """Read the record in a file.

    Raises:
        RecordError: the file is not a valid record. The message is one line with the path and the first fault.
    """
    if not path.exists() and not path.is_symlink():
        msg = f"no record {path}"
        raise RecordError(msg)
    if path.is_dir():
        msg = f"{path} is a folder; give the files of records in it"
        raise RecordError(msg)
    try:
        return read_part(Record, path)
    except RecordError as error:
        msg = f"{path}: not a valid record ({error}); move it away and run again"
        raise RecordError(msg) from None


def read_part(model: type[AnyPart], path: Path) -> AnyPart:
    """Read the JSON of an untrusted file.

    Raises:
        RecordError: the file is not valid. The message is one line with the first fault, without the path.
    """
    try:
        content = read_bytes(path)
        _check_keys(content)
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        fault = f"{field}: {first['msg']}"
    except (OSError, ValueError, RecursionError) as error:
        fault = f"file: {error}"
    raise RecordError(fault)


def read_bytes(path: Path) -> bytes:
    """Read an untrusted file.

    Raises:
        ValueError: it is a symbolic link, another file that is not regular, or larger than `LARGEST_BYTES`.
    """
    return read_regular(path, LARGEST_BYTES, links=False)


def _check_keys(content: bytes) -> None:
    """Raise a ValueError if an object has a duplicate key, which JSON parsers read differently, or a value is NaN or infinite."""

    def check_pairs(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        table = dict(pairs)
        if len(table) < len(pairs):
            keys = [key for key, _ in pairs]
            msg = f"duplicate key {next(key for key in keys if keys.count(key) > 1)[:60]!r}"
            raise ValueError(msg)
        return table

    def refuse_constant(constant: str) -> None:
        msg = f"{constant} is not a finite number"
        raise ValueError(msg)

    json.loads(content, object_pairs_hook=check_pairs, parse_constant=refuse_constant)
