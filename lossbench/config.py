"""Task protocols and sweeps, read from TOML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, SerializeAsAny, ValidationError, model_validator

from leaderboard.schema.records import Split, Track
from lossbench.errors import LossbenchError
from lossbench.files import LARGEST_TOML, UnfitFileError, first_fault, merged, parsed_toml, read_regular, shown
from lossbench.paths import shipped
from lossbench.words import suggestion
from tasks.kinds import task_settings
from tasks.settings import (
    CLEAN,
    MOST_IMAGES,
    Distinct,
    FileName,
    Number,
    Once,
    Seed,
    Settings,
    Stress,
    TaskSettings,
    Whole,
)

AnyModel = TypeVar("AnyModel", bound=BaseModel)
NAME = r"^[a-z0-9][a-z0-9-]*$"
"""Pattern of a protocol's name."""
MOST_ROUNDS = 10_000
RANDOM_FIRST = "random"
EVERY = "all"
"""Stands for all strategies of Lossbench in the `strategies` of a sweep."""
Seeds = Annotated[tuple[Seed, ...], Once]
Contrast = Annotated[tuple[FileName, FileName], Distinct]
Tap = Annotated[Whole, Field(ge=0, le=99)]
ProtocolName = Annotated[str, Field(pattern=NAME, max_length=60)]


class ConfigError(LossbenchError):
    """An invalid configuration. The message is one line: which file, which field, what is wrong."""


class Budget(Settings):
    """How many images are labeled in which round."""

    initial: Whole = Field(ge=2, le=MOST_IMAGES)
    """Images that are labeled before the first round."""
    first: FileName = Field(default=RANDOM_FIRST, exclude_if=lambda first: first == RANDOM_FIRST)
    """Who picks these: `random`, or a strategy that reads embeddings alone, such as `typiclust`, and a pretrained model."""
    step: Whole = Field(ge=1, le=MOST_IMAGES)
    """Images that are picked and labeled after every round but the last."""
    rounds: Whole = Field(ge=1, le=MOST_ROUNDS)
    """Number of rounds; each trains one model."""
    subset: Whole | None = Field(None, ge=1, le=MOST_IMAGES)
    """Number of candidates, drawn at random in each round; by default all unlabeled images."""

    @model_validator(mode="after")
    def _subset_holds_a_step(self) -> Budget:
        if self.subset is not None and self.subset < self.step:
            msg = f"a subset of {self.subset} candidates cannot give {self.step} picks; raise subset or lower step"
            raise ValueError(msg)
        return self

    @property
    def labeled(self) -> tuple[int, ...]:
        """Number of labeled images in each round."""
        return tuple(self.initial + self.step * number for number in range(self.rounds))


class LossPrediction(Settings):
    """How lossnet, the shared loss-prediction module, is trained beside the model (`lossnet.RankingObjective`)."""

    weight: Number = Field(1.0, ge=0, le=1e6)
    """Weight of its loss in the total loss: the paper's lambda."""
    margin: Number = Field(1.0, gt=0, le=1e6)
    """Margin of the ranking loss: two predictions that differ by more, in the right order, have no loss. The paper's xi."""
    detach_after: Number = Field(0.6, ge=0, le=1)
    """Share of the epochs after which its gradients no longer reach the model."""
    taps: Annotated[tuple[Tap, ...], Distinct] | None = Field(
        None, min_length=1, exclude_if=lambda given: given is None
    )
    """Numbers, from 0, of the taps that it reads; by default all taps of the model."""


class Needs(Settings):
    """What a run takes of a node of a cluster. It decides nothing of a run, and no record holds it."""

    cpus: Whole = Field(1, ge=1, le=1024)
    """A run computes on one thread; more leave room for the threads that decode images."""
    gpus: Number = Field(1.0, gt=0, le=1)
    """Share of a GPU, where runs are made on GPUs."""
    memory_gibibytes: Number | None = Field(None, gt=0, le=1e6)
    """By default none is set aside."""


class Protocol(Settings):
    """A task protocol: one file of `configs/tasks`. Any change of its numbers requires a higher `version`.

    A file may name another protocol as its `base` and give only what differs; it then has the base's `version`.
    """

    name: ProtocolName
    version: Whole = Field(ge=1, le=9999)
    base: ProtocolName | None = Field(None, exclude_if=lambda base: base is None)
    """The protocol that this one varies; the leaderboard compares the two."""
    budget: Budget
    stress: Stress = Field(CLEAN, exclude_if=lambda stress: stress == CLEAN)
    task: Annotated[SerializeAsAny[TaskSettings], BeforeValidator(task_settings)]
    """Settings of the task; their class depends on the kind of task."""
    loss_prediction: LossPrediction = LossPrediction.model_validate({})
    needs: Needs = Field(Needs.model_validate({}), exclude=True)

    @model_validator(mode="after")
    def _scenes_hold_the_budget(self) -> Protocol:
        data = self.task.data
        if data.scenes and self.budget.labeled[-1] > data.scenes.pool - data.validation:
            msg = (
                f"a budget of {self.budget.labeled[-1]} labels is larger than the pool of {data.scenes.pool} images less "
                f"{data.validation} for validation; lower budget.initial, step or rounds"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _missing_groups_are_drawn(self) -> Protocol:
        if self.stress.missing_groups and self.budget.first != RANDOM_FIRST:
            msg = f"groups can be missing from first labels that are drawn at random, not from those of {self.budget.first}"
            raise ValueError(msg)
        return self

    def on_full_pool(self, eligible: int) -> Protocol:
        """The same protocol with a single round in which all images are labeled.

        Args:
            eligible: how many images may be labeled.
        """
        budget = Budget(initial=eligible, step=1, rounds=1, subset=None)  # all of them: nobody picks
        stress = self.stress.model_copy(update={"missing_groups": 0})
        return self.model_copy(update={"budget": budget, "stress": stress})


class Sweep(Settings):
    """A set of runs, every strategy on every protocol under every seed: one file of `configs/sweeps`."""

    protocols: Annotated[tuple[ProtocolName, ...], Once] = Field(min_length=1)
    """Names of protocols: of files in the folder `tasks` beside the sweep's folder, or else of Lossbench's protocols."""
    strategies: Annotated[tuple[FileName, ...], Once] = Field(min_length=1)
    """Names or files of strategies; "all" stands for every strategy of Lossbench."""
    seeds: Seeds = Field(min_length=1)
    tracks: Annotated[tuple[Track, ...], Field(min_length=1), Once] = ("shared",)
    split: Split = "test"
    parameters: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """Hyper-parameters by strategy that differ from the defaults; the records contain them."""
    full_pool_seeds: Seeds = ()
    """Seeds under which a model is also trained on all eligible images, as the upper reference of the curves."""
    contrasts: Annotated[tuple[Contrast, ...], Once] = ()
    """Planned comparisons, as pairs of strategies (first minus second). Only these have p-values on the leaderboard."""


def read_protocol(reference: Path | str) -> Protocol:
    """Read a task protocol.

    Args:
        reference: the path of a file, or the name of one of Lossbench's protocols, such as `cifar10-mini`.

    Raises:
        ConfigError: the file is missing or invalid.
    """
    path = _find(reference, "tasks")
    table = _read_toml(path)
    if isinstance(base := table.get("base"), str):
        if not re.fullmatch(NAME, base):
            msg = f"{path}: base: String should match pattern '{NAME}' (given: {shown(base)})"
            raise ConfigError(msg)
        if base == path.stem:
            msg = f"{path}: the base {base!r} is the file itself; name another protocol"
            raise ConfigError(msg)
        base_table = _read_toml(protocol_file(_tasks_folder(path), base))
        if "base" in base_table:
            msg = f"{path}: the base {base!r} itself has the base {base_table['base']!r}; use that one as base"
            raise ConfigError(msg)
        if "version" in table:
            msg = f"{path}: a protocol with a base has the version of its base; remove `version`, and rename the file when it changes"
            raise ConfigError(msg)
        table = merged(base_table, table)
    protocol = validated(Protocol, table, path)
    if protocol.name != path.stem:
        msg = f"{path}: the name {protocol.name!r} differs from the file's name {path.stem!r}; make them equal"
        raise ConfigError(msg)
    return protocol


def read_sweep(reference: Path | str) -> tuple[Sweep, tuple[Protocol, ...]]:
    """Read a sweep and its protocols. A protocol's file is read as a sweep of the strategy random under seed 0.

    Args:
        reference: the path of a sweep or a protocol, or the name of one of Lossbench's, such as `quickstart`.

    Raises:
        ConfigError: a file is missing or invalid.
    """
    path = _find(reference, "sweeps", "tasks")
    table = _read_toml(path)
    if table.keys() & {"task", "base"}:
        protocol = read_protocol(path)
        return Sweep(protocols=(protocol.name,), strategies=("random",), seeds=(0,)), (protocol,)
    sweep = validated(Sweep, table, path)
    _check_names(sweep, path)
    folder = path.resolve().parent.parent / "tasks"
    return sweep, tuple(read_protocol(protocol_file(folder, name)) for name in sweep.protocols)


def _check_names(sweep: Sweep, path: Path) -> None:
    """Raise a ConfigError if a sweep has parameters or contrasts of strategies that it does not run."""
    if EVERY in (names := set(sweep.strategies)):
        return
    unused = set(sweep.parameters) - names
    if unused:
        msg = f"{path}: parameters for {min(unused)!r}, which is not one of the sweep's strategies"
        raise ConfigError(msg)
    unknown = {name for pair in sweep.contrasts for name in pair} - names
    if unknown:
        msg = f"{path}: a contrast with {min(unknown)!r}, which is not one of the sweep's strategies"
        raise ConfigError(msg)


def protocol_file(folder: Path, name: str) -> Path:
    """The path of a protocol's file.

    Args:
        folder: searched first, with all folders in it; then Lossbench's protocols are searched.
        name: of the protocol.

    Returns:
        The path of the file; if there is none, the path that it would have in the folder.
    """
    file_name = f"{Path(name).name}.toml"
    paths = [*folder.rglob(file_name), *shipped("configs/tasks").rglob(file_name)]
    return paths[0] if paths else folder / file_name


def config_files(folder: Path) -> list[Path]:
    """All configuration files in a folder and below it, sorted by name."""
    return sorted(folder.rglob("*.toml"), key=lambda path: path.stem)


def _find(reference: Path | str, *folders: str) -> Path:
    """The path of a configuration.

    Args:
        reference: a path, or the name of one of Lossbench's configurations.
        *folders: the folders below Lossbench's `configs` in which to look for a name; the first has precedence.

    Raises:
        ConfigError: Lossbench has no configuration of this name.
    """
    path = Path(reference)
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return path
    known = {file.stem: file for folder in reversed(folders) for file in config_files(shipped(f"configs/{folder}"))}
    if path.name in known:
        return known[path.name]
    msg = (
        f"no configuration {path.name!r}; {suggestion(path.name, known)}, or give a file by its path, such as mine.toml"
    )
    raise ConfigError(msg)


def _tasks_folder(path: Path) -> Path:
    """The folder in which to look for the base of a protocol's file: the nearest parent named `tasks`, or its own folder."""
    return next((folder for folder in path.resolve().parents if folder.name == "tasks"), path.parent)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return parsed_toml(read_regular(path, LARGEST_TOML))
    except FileNotFoundError:
        pattern = "**/*.toml" if path.parent.name == "tasks" else "*.toml"  # below may be a whole home directory
        names = ", ".join(sorted(file.stem for file in path.parent.glob(pattern)))
        msg = f"no configuration {path}" + (f"; beside it there are {names}" if names else "")
    except (UnfitFileError, OSError) as error:
        msg = f"{path} cannot be read: {error.strerror if isinstance(error, OSError) else error}"
    except ValueError as error:
        msg = f"{path} is not TOML: {error}"
    raise ConfigError(msg)


def validated(model: type[AnyModel], table: dict[str, Any], source: Path | str) -> AnyModel:
    """Turn a table into a model.

    Args:
        model: the class of the settings.
        table: the fields.
        source: what to name in an error message, such as the table's file.

    Raises:
        ConfigError: a field is invalid; the message names the source and the first such field.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        msg = f"{source}: {first_fault(error)}"
        raise ConfigError(msg) from None
