"""Task protocols and sweeps, read from TOML."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, JsonValue, ValidationError, model_validator

from leaderboard.records import Split, Track
from tasks.settings import Settings, TaskSettings

AnyModel = TypeVar("AnyModel", bound=BaseModel)
NAME = r"^[a-z0-9][a-z0-9-]*$"
"""Of protocols."""
Seed = Annotated[int, Field(ge=0)]


class ConfigError(ValueError):
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


class Stress(Settings):
    """What makes a pool harder than a clean, balanced one. Test images and the validation slice stay as they are."""

    label_noise: float = Field(default=0.0, ge=0, lt=1)
    """Share of labels that the oracle gives wrong, as `Task.mislabeled` describes; the same for all under a seed."""
    imbalance: float = Field(default=1.0, ge=1)
    """How many times rarer, beside what it was, the rarest group of the pool becomes; the others lie between."""
    missing_groups: int = Field(default=0, ge=0)
    """How many groups, drawn by the seed, no image of the first round shows."""


class Protocol(Settings):
    """A task protocol: one file of `configs/tasks`. Whoever changes a number raises `protocol`.

    A file may name another as its `base` and give only what differs; its `protocol` is then that of the base.
    """

    name: str = Field(pattern=NAME, max_length=60)
    protocol: int = Field(ge=1)
    base: str | None = Field(None, pattern=NAME, max_length=60, exclude_if=lambda base: base is None)
    """The protocol that this one puts under stress, or varies: the page shows them side by side."""
    budget: Budget
    stress: Stress = Field(Stress(), exclude_if=lambda stress: stress == Stress())
    task: TaskSettings

    def on_all(self, eligible: int) -> Protocol:
        """The same with one round, on all images that may be labeled."""
        everything = Budget(initial=eligible, step=1, rounds=1, subset=None)
        return self.model_copy(
            update={"budget": everything, "stress": self.stress.model_copy(update={"missing_groups": 0})}
        )


class Sweep(Settings):
    """Runs to be made: one file of `configs/sweeps`."""

    tasks: tuple[str, ...] = Field(min_length=1)
    """Names of protocols: files in the folder `tasks` beside that of the sweep."""
    strategies: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field(min_length=1)
    tracks: tuple[Track, ...] = ("shared",)
    split: Split = "test"
    parameters: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """Hyper-parameters by strategy, where they are not the published ones; the records say so."""
    full_pool_seeds: tuple[Seed, ...] = ()
    """Seeds under which a model is also trained on all images that may be labeled: what gains are measured in."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """Comparisons named before the runs, as pairs of strategies, first minus second: the page gives these alone a p."""


def read_protocol(path: Path) -> Protocol:
    """A task protocol.

    Raises:
        ConfigError: the file is missing, no TOML, or does not fit.
    """
    table = _table(path)
    if isinstance(base := table.get("base"), str):
        below = _table(path.parent / f"{Path(base).name}.toml")
        if "base" in below:
            msg = f"{path}: its base {base!r} has a base itself; name that one"
            raise ConfigError(msg)
        if "protocol" in table:
            msg = f"{path}: it has the protocol number of its base; leave `protocol` out, and rename it when it changes alone"
            raise ConfigError(msg)
        table = _merged(below, table)
    protocol = validated(Protocol, table, path)
    if protocol.name != path.stem:
        msg = f"{path}: name is {protocol.name!r}; a protocol is named like its file, {path.stem!r}"
        raise ConfigError(msg)
    return protocol


def read_sweep(path: Path) -> tuple[Sweep, tuple[Protocol, ...]]:
    """A sweep and its protocols. A single protocol is a sweep of itself by random under seed 0.

    Raises:
        ConfigError: a file is missing, no TOML, or does not fit.
    """
    table = _table(path)
    if table.keys() & {"task", "base"}:
        protocol = read_protocol(path)
        return Sweep(tasks=(protocol.name,), strategies=("random",), seeds=(0,)), (protocol,)
    sweep = validated(Sweep, table, path)
    idle = set(sweep.parameters) - set(sweep.strategies)
    if idle:
        msg = f"{path}: parameters for {min(idle)!r}, which is not one of the sweep's strategies"
        raise ConfigError(msg)
    strange = {name for pair in sweep.contrasts for name in pair} - set(sweep.strategies)
    if strange:
        msg = f"{path}: a contrast with {min(strange)!r}, which is not one of the sweep's strategies"
        raise ConfigError(msg)
    folder = path.parent.parent / "tasks"
    return sweep, tuple(read_protocol(folder / f"{name}.toml") for name in sweep.tasks)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(each.stem for each in path.parent.glob("*.toml")))
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
