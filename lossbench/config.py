"""Task protocols and sweeps, read from TOML."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, SerializeAsAny, ValidationError, model_validator

from leaderboard.schema.records import Split, Track
from lossbench.errors import LossbenchError
from lossbench.paths import shipped
from tasks.kinds import task_settings
from tasks.settings import CLEAN, Settings, Stress, TaskSettings

AnyModel = TypeVar("AnyModel", bound=BaseModel)
NAME = r"^[a-z0-9][a-z0-9-]*$"
"""Of protocols."""
EVERY = "all"
"""In a sweep's strategies: every one of Lossbench."""
Seed = Annotated[int, Field(ge=0)]


class ConfigError(LossbenchError):
    """A configuration that cannot be used: one line that says which file, which field, what is wrong."""


class Budget(Settings):
    """How many images are labeled when."""

    initial: int = Field(ge=2)
    """Labeled at random before the first round."""
    step: int = Field(ge=1)
    """Labeled after every round but the last."""
    rounds: int = Field(ge=1)
    """How many models are trained one after another."""
    subset: int | None = Field(None, ge=1)
    """Candidates drawn at random each round; all unlabeled images where it is not given."""

    @model_validator(mode="after")
    def _subset_holds_a_step(self) -> Budget:
        if self.subset is not None and self.subset < self.step:
            msg = f"a subset of {self.subset} candidates cannot give {self.step} picks; raise subset or lower step"
            raise ValueError(msg)
        return self

    @property
    def labeled(self) -> tuple[int, ...]:
        """Labeled images, round by round."""
        return tuple(self.initial + self.step * number for number in range(self.rounds))


class LossPrediction(Settings):
    """How the shared loss-prediction module is trained beside the model (`lossnet.RankingObjective`)."""

    weight: float = Field(1.0, ge=0)
    """Factor of its objective in the total loss: the paper's lambda."""
    margin: float = Field(1.0, gt=0)
    """Least difference of two predictions that costs nothing: the paper's xi."""
    detach_after: float = Field(0.6, ge=0, le=1)
    """Share of the training after which the model no longer receives its gradients."""
    taps: tuple[int, ...] | None = Field(None, min_length=1, exclude_if=lambda given: given is None)
    """Which of the model's taps it reads, by number from 0; all where not given."""


class Protocol(Settings):
    """A task protocol: one file of `configs/tasks`. Whoever changes a number of it raises `version`.

    A file may name another as its `base` and give only what differs; its `version` is then that of the base.
    """

    name: str = Field(pattern=NAME, max_length=60)
    version: int = Field(ge=1)
    base: str | None = Field(None, pattern=NAME, max_length=60, exclude_if=lambda base: base is None)
    """The protocol that this one puts under stress, or varies: the page shows them side by side."""
    budget: Budget
    stress: Stress = Field(CLEAN, exclude_if=lambda stress: stress == CLEAN)
    task: Annotated[SerializeAsAny[TaskSettings], BeforeValidator(task_settings)]
    """In the form of its kind."""
    loss_prediction: LossPrediction = LossPrediction.model_validate({})

    def on_all(self, eligible: int) -> Protocol:
        """The same with one round, on all images that may be labeled."""
        everything = Budget(initial=eligible, step=1, rounds=1, subset=None)
        return self.model_copy(
            update={"budget": everything, "stress": self.stress.model_copy(update={"missing_groups": 0})}
        )


class Sweep(Settings):
    """Runs to be made: one file of `configs/sweeps`."""

    protocols: tuple[str, ...] = Field(min_length=1)
    """Names of protocols: files in the folder `tasks` beside that of the sweep, or of Lossbench."""
    strategies: tuple[str, ...] = Field(min_length=1)
    """Names; "all" stands for every strategy of Lossbench."""
    seeds: tuple[Seed, ...] = Field(min_length=1)
    tracks: tuple[Track, ...] = ("shared",)
    split: Split = "test"
    parameters: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """Hyper-parameters by strategy, where they are not the published ones; the records say so."""
    full_pool_seeds: tuple[Seed, ...] = ()
    """Seeds under which a model is also trained on all images that may be labeled: what gains are measured in."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """Comparisons named before the runs, as pairs of strategies, first minus second: the page gives these alone a p."""


def read_protocol(reference: Path | str) -> Protocol:
    """A task protocol.

    Args:
        reference: the path of its file, or the name of one of Lossbench's, such as `cifar10-mini`.

    Raises:
        ConfigError: the file is missing, no TOML, or does not fit.
    """
    path = _file(reference, "tasks")
    table = _table(path)
    if isinstance(base := table.get("base"), str):
        below = _table(protocol_file(_tasks_folder(path), base))
        if "base" in below:
            msg = f"{path}: its base {base!r} has a base itself; name that one"
            raise ConfigError(msg)
        if "version" in table:
            msg = f"{path}: it has the version of its base; leave `version` out, and rename it when it changes alone"
            raise ConfigError(msg)
        table = _merged(below, table)
    protocol = validated(Protocol, table, path)
    if protocol.name != path.stem:
        msg = f"{path}: name is {protocol.name!r}; a protocol is named like its file, {path.stem!r}"
        raise ConfigError(msg)
    return protocol


def read_sweep(reference: Path | str) -> tuple[Sweep, tuple[Protocol, ...]]:
    """A sweep and its protocols. A single protocol is a sweep of itself by random under seed 0.

    Args:
        reference: the path of a sweep or a protocol, or the name of one of Lossbench's, such as `quickstart`.

    Raises:
        ConfigError: a file is missing, no TOML, or does not fit.
    """
    path = _file(reference, "sweeps", "tasks")
    table = _table(path)
    if table.keys() & {"task", "base"}:
        protocol = read_protocol(path)
        return Sweep(protocols=(protocol.name,), strategies=("random",), seeds=(0,)), (protocol,)
    sweep = validated(Sweep, table, path)
    named = set(sweep.strategies)
    idle = set(sweep.parameters) - named
    if idle and EVERY not in named:
        msg = f"{path}: parameters for {min(idle)!r}, which is not one of the sweep's strategies"
        raise ConfigError(msg)
    strange = {name for pair in sweep.contrasts for name in pair} - named
    if strange and EVERY not in named:
        msg = f"{path}: a contrast with {min(strange)!r}, which is not one of the sweep's strategies"
        raise ConfigError(msg)
    folder = path.parent.parent / "tasks"
    return sweep, tuple(read_protocol(protocol_file(folder, name)) for name in sweep.protocols)


def protocol_file(folder: Path, name: str) -> Path:
    """The file of a protocol: in a folder or below it, else among Lossbench's; the path where it is missing from the folder."""
    wanted = f"{Path(name).name}.toml"
    found = [*folder.rglob(wanted), *shipped("configs/tasks").rglob(wanted)]
    return found[0] if found else folder / wanted


def config_files(folder: Path) -> list[Path]:
    """All configurations in a folder and below it, by name."""
    return sorted(folder.rglob("*.toml"), key=lambda path: path.stem)


def _file(reference: Path | str, *rooms: str) -> Path:
    """The path itself, or that of one of Lossbench's configurations, where a name is given and no such file is there."""
    path = Path(reference)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    known = {each.stem: each for room in reversed(rooms) for each in config_files(shipped(f"configs/{room}"))}
    if path.name in known:
        return known[path.name]
    close = difflib.get_close_matches(path.name, known, 3) or sorted(known)
    msg = f"no configuration {path.name!r}; did you mean {', '.join(close)}? A file is given by its path, such as mine.toml"
    raise ConfigError(msg)


def _tasks_folder(path: Path) -> Path:
    """The folder that holds the protocols: the nearest one called `tasks`, or the file's own."""
    return next((folder for folder in path.parents if folder.name == "tasks"), path.parent)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(each.stem for each in config_files(path.parent))
        msg = f"no configuration {path}" + (f"; beside it there are {known}" if known else "")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not TOML: {error}"
    raise ConfigError(msg)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both tables; where they differ, `above` counts."""
    tables = [
        name for name in below.keys() & above.keys() if isinstance(below[name], dict) and isinstance(above[name], dict)
    ]
    return below | above | {name: _merged(below[name], above[name]) for name in tables}


def validated(model: type[AnyModel], table: dict[str, Any], source: Path | str) -> AnyModel:
    """The model of a table; a ConfigError names the source, the first field that does not fit, and why."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        msg = f"{source}: {where}: {first['msg']} (given: {first['input']!r:.80})"
        raise ConfigError(msg) from None
