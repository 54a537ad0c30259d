"""Task protocols and sweeps: what their files hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, SerializeAsAny, ValidationError, model_validator

from leaderboard.schema.records import Split, Track
from lossbench.errors import LossbenchError
from lossbench.files import first_fault
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
Sentence = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=1000)]
ProtocolName = Annotated[str, Field(pattern=NAME, max_length=60)]


class ConfigError(LossbenchError):
    """An invalid configuration. The message is one line: which file, which field, what is wrong."""


class Budget(Settings):
    """How many images are labeled in which round."""

    initial: Whole = Field(ge=2, le=MOST_IMAGES)
    """Images that are labeled before the first round."""
    first: FileName = Field(default=RANDOM_FIRST, exclude_if=lambda first: first == RANDOM_FIRST)
    """Who picks these: `random`, or with a pretrained model a strategy of Lossbench that needs no labels, such as `typiclust`."""
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
    disclosure: Sentence | None = None
    """What was known before the comparisons were named, or changed after; it is shown beside their p-values."""


def field_names(model: type[BaseModel]) -> set[str]:
    """The names of all fields of a table and of the tables in it, also of those that only some kinds of task have."""
    names, waiting, seen = set(), [model], {model}
    while waiting:
        table = waiting.pop()
        names |= set(table.model_fields)
        found = [
            *table.__subclasses__(),
            *(part for field in table.model_fields.values() for part in _models(field.annotation)),
        ]
        new = [each for each in dict.fromkeys(found) if each not in seen]
        waiting += new
        seen |= set(new)
    return names


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


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
        msg = f"{source}: {first_fault(error, fields=field_names(model))}"
        raise ConfigError(msg) from None
