"""Records: one JSON file per run, the only thing the leaderboard is computed from."""

from __future__ import annotations

import json
import os
import stat
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from leaderboard.schema.upgrades import upgraded
from lossbench.errors import LossbenchError

SCHEMA = 2
LARGEST_BYTES = 64 << 20
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Finite = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**31)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
"""Of tasks and strategies: they become file names and addresses."""
Text = Annotated[str, Field(max_length=200)]
Track = Literal["shared", "native"]
Split = Literal["test", "validation"]


class RecordError(LossbenchError):
    """A record that cannot be read: says which file, what is wrong, what to do."""


class Part(BaseModel):
    """What every piece of a record shares: frozen, and no field that the schema does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MetricInfo(Part):
    """The metric by which a task is ranked."""

    name: Text
    unit: Text
    larger_is_better: bool

    @property
    def title(self) -> str:
        """Its name with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


class Phases(Part):
    """Seconds of one round, apart: `forward`, `score` and `pick` together are the selection's cost."""

    fit: Seconds
    evaluate: Seconds
    forward: Seconds = 0.0
    score: Seconds = 0.0
    pick: Seconds = 0.0

    @property
    def select(self) -> float:
        """Seconds from the trained model to the picked ids."""
        return self.forward + self.score + self.pick


class Round(Part):
    """One round: a model trained on `labeled` images, its metrics, and what was then picked."""

    labeled: Annotated[Count, Field(ge=1)]
    metrics: dict[str, Finite]
    picked: tuple[Count, ...] = ()
    """Pool positions in the order of picking; empty in the last round, where nothing more is labeled."""
    group_counts: tuple[Count, ...] = ()
    """How many of `picked` belong to each of the task's groups (an image can be in several, or in none)."""
    seconds: Phases
    peak_memory_mebibytes: Annotated[Finite, Field(ge=0)]
    """Peak resident memory of the process since the run began or went on (on CUDA: of its tensors on the device)."""


class Machine(Part):
    """Where a run was made. Times are comparable, and runs on a CPU bit-equal, between equal machines only."""

    processor: Text
    device: Text
    threads: Annotated[Count, Field(ge=1)]
    python: Text
    torch: Text


class Record(Part):
    """One run of one strategy on one task protocol under one seed."""

    schema_number: Literal[2] = SCHEMA
    protocol: Name
    """Name of the task protocol, for instance `cifar10-mini`."""
    version: Annotated[int, Field(ge=1, le=9999)]
    """Of the protocol: rises whenever a number of it changes. Records of different versions are never mixed."""
    track: Track
    strategy: Name
    reference: bool = False
    """Whether it knows more than a strategy may (true losses, all labels): shown, never ranked."""
    seed: Count
    split: Split
    """What the metrics were measured on; `validation` is for making choices and never on the board."""
    metric: MetricInfo
    group_names: tuple[Text, ...]
    config: dict[str, JsonValue]
    """The whole task protocol, as read."""
    strategy_config: dict[str, JsonValue]
    """The strategy's hyper-parameters."""
    fingerprints: dict[str, str] = {}
    """SHA-256 of what the run was built from besides this repository: data, pre-trained weights."""
    machine: Machine
    commit: Text
    planned_rounds: Annotated[Count, Field(ge=1)]
    rounds: tuple[Round, ...]

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_schema(cls, table: Any) -> Any:
        return upgraded(cast("dict[str, Any]", table)) if isinstance(table, dict) else table

    @model_validator(mode="after")
    def _consistent(self) -> Record:
        if len(self.rounds) > self.planned_rounds:
            msg = f"{len(self.rounds)} rounds are recorded, but only {self.planned_rounds} were planned"
            raise ValueError(msg)
        picked = [image for one in self.rounds for image in one.picked]
        if len(picked) != len(set(picked)):
            msg = "an image is picked twice"
            raise ValueError(msg)
        if any(self.metric.name not in one.metrics for one in self.rounds):
            msg = f"a round is without {self.metric.name}, the ranking metric"
            raise ValueError(msg)
        labels = [one.labeled for one in self.rounds]
        if any(later <= earlier for earlier, later in pairwise(labels)):
            msg = f"label counts must rise from round to round, got {labels}"
            raise ValueError(msg)
        return self

    def going_on(self, machine: Machine, commit: str) -> Record:
        """The same run, going on there: a second machine is named beside the first, whose seconds are then not its own."""
        names = machine.model_dump()
        both = {name: _followed(own, names[name]) for name, own in self.machine if isinstance(own, str)}
        update = {"machine": self.machine.model_copy(update=both), "commit": _followed(self.commit, commit)}
        return self.model_copy(update=update)

    @property
    def complete(self) -> bool:
        """Whether every planned round is there."""
        return len(self.rounds) == self.planned_rounds

    @property
    def score(self) -> tuple[float, ...]:
        """The ranking metric, round by round."""
        return tuple(one.metrics[self.metric.name] for one in self.rounds)


def _followed(first: str, then: str) -> str:
    """Two texts in the order of time, or the first alone where the other is its last part."""
    return first if first.rsplit(", then ", maxsplit=1)[-1] == then else f"{first}, then {then}"[:200]


def record_path(folder: Path, protocol: str, track: str, strategy: str, seed: int, split: str = "test") -> Path:
    """Where the record of a run lies below `folder`."""
    suffix = "" if split == "test" else f"-{split}"
    return folder / protocol / f"{strategy}-{track}-s{seed}{suffix}.json"


def write_record(record: Record, path: Path) -> None:
    """Write a record whole or not at all."""
    write_whole(path, record_text(record))


def record_text(record: Record) -> str:
    """A record as JSON: one line for each of its fields, and one for each round."""
    table = json.loads(record.model_dump_json())
    fields = {name: json.dumps(value, ensure_ascii=False) for name, value in table.items()}
    if record.rounds:
        rounds = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in table["rounds"])
        fields["rounds"] = "[\n  " + ",\n  ".join(rounds) + "\n ]"
    return "{\n" + ",\n".join(f' "{name}": {value}' for name, value in fields.items()) + "\n}\n"


def write_whole(path: Path, text: str) -> None:
    """Write beside the place first, then rename: a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")  # one name: what a killed process left is written over
    try:
        beside.unlink(missing_ok=True)  # a link would lead elsewhere
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_record(path: Path) -> Record:
    """The record in a file.

    Raises:
        RecordError: the file is not a record of this schema; one line that names the file and the first fault.
    """
    try:
        content = read_bytes(path)
        _check_keys(content)
        return Record.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        fault = f"{where}: {first['msg']}"
    except (OSError, ValueError, RecursionError) as error:
        fault = f"file: {error}"
    msg = f"{path}: not a valid record ({fault}); move it away and run again"
    raise RecordError(msg)


def read_bytes(path: Path) -> bytes:
    """What a file from a stranger holds.

    Raises:
        ValueError: it is a link or no regular file, or too large for what it should be.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_BYTES:
        msg = f"not a regular file of at most {LARGEST_BYTES >> 20} MiB"
        raise ValueError(msg)
    return path.read_bytes()


def _check_keys(content: bytes) -> None:
    """Raise where an object names a key twice, for readers would disagree about which counts, and where NaN stands."""

    def distinct(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            msg = f"key {next(key for key in keys if keys.count(key) > 1)[:60]!r} stands twice"
            raise ValueError(msg)
        return found

    def refused(word: str) -> None:
        msg = f"{word} is no number"
        raise ValueError(msg)

    json.loads(content, object_pairs_hook=distinct, parse_constant=refused)
