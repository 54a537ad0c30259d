"""Settings that all kinds of task share. A kind's own settings are in `tasks/KIND/settings.py`, the values in `configs/tasks/`."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator

SCENE_BATCHES = 5
"""The number of pool files of the rendered classification scenes; CIFAR-10 has as many training batches."""


LARGEST_SEED = 2**31
"""The largest seed that a record holds."""
MOST_IMAGES = 1_000_000
"""The largest pool: what a protocol makes or draws is bounded before anything is built."""
T = TypeVar("T", bound=Hashable)


def distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    """The values, of which none may be given twice."""
    for value in values:
        if values.count(value) > 1:
            msg = f"{value!r} is given twice"
            raise ValueError(msg)
    return values


def rising(values: tuple[float, ...]) -> tuple[float, ...]:
    """The values, of which each must be larger than the one before it."""
    if list(values) != sorted(set(values)):
        msg = "each number must be larger than the one before it"
        raise ValueError(msg)
    return values


def once(values: tuple[T, ...]) -> tuple[T, ...]:
    """The values, each once, in the order in which they first appear."""
    return tuple(dict.fromkeys(values))


Distinct = AfterValidator(distinct)
Rising = AfterValidator(rising)
Once = AfterValidator(once)
"""Every tuple of a settings table says by one of these three what a repetition means."""
Whole = Annotated[int, Strict()]
"""A whole number; neither a text nor `true`. Each field gives its bounds."""
Number = Annotated[float, Strict()]
"""A number, never infinite or NaN. Each field gives its bounds."""
Flag = Annotated[bool, Strict()]
Seed = Annotated[Whole, Field(ge=0, le=LARGEST_SEED)]
FileName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=1000)]
"""A path or a name, without control characters."""


class Settings(BaseModel):
    """A frozen table of a configuration file. Unknown fields are an error, and so are infinite numbers and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Recipe(Settings):
    """How a model is trained on one labeled set."""

    epochs: Whole = Field(ge=1, le=100_000)
    batch: Whole = Field(ge=2, le=65_536)
    optimizer: Literal["sgd", "adamw", "rmsprop"]
    learning_rate: Number = Field(gt=0, le=1e38)
    """At most what float32 holds; a run that diverges says so."""
    momentum: Number = Field(0.9, ge=0, lt=1)
    """Used by SGD only."""
    weight_decay: Number = Field(0.0, ge=0, le=100)
    schedule: Literal["steps", "one-cycle"] = "steps"
    """`steps`: multiply the learning rate by 0.1 at each milestone; `one-cycle`: raise and lower it, per batch (Smith 2018).

    As in torch, one-cycle moves the momentum (AdamW's first beta) the other way, .95 to .85 and back, and ignores `momentum`.
    """
    milestones: Annotated[tuple[Annotated[Number, Field(gt=0, lt=1)], ...], Rising] = ()
    """Of `steps`, as shares of the epochs."""
    warm_start: Flag = False
    """Start each round from the weights of the previous round. The paper does not say which it does; the default is a cold start."""
    precision: Literal["fp32", "bf16"] = "fp32"
    fused: Flag = Field(default=False, exclude_if=lambda fused: not fused)
    """Whether one kernel updates all weights: faster, and rounded otherwise than the plain optimizer. Not of RMSprop."""

    @model_validator(mode="after")
    def _the_optimizer_has_a_fused_kernel(self) -> Recipe:
        if self.fused and self.optimizer == "rmsprop":
            msg = "RMSprop has no fused kernel; remove `fused`"
            raise ValueError(msg)
        return self

    def batches(self, images: int) -> int:
        """The number of batches in an epoch over so many images.

        They have nearly equal sizes, none above `batch`; but of an odd number of images in batches of two, one has three, as a
        single image has no statistics for batch normalization.
        """
        return min(math.ceil(images / self.batch), max(images // 2, 1))


class SceneSettings(Settings):
    """Which scenes to render: the seed of all their random streams, and the number of images in each split."""

    seed: Seed = 0
    pool: Whole = Field(default=2000, ge=SCENE_BATCHES, le=MOST_IMAGES)
    test: Whole = Field(default=500, ge=1, le=MOST_IMAGES)


class LabeledFolder(Settings):
    """A folder or shards of images, and what annotation tools exported of them. Paths start in the data folder."""

    images: FileName
    """A folder, searched with all folders in it; or shards or an address: `tasks.datasets.pools.finding`."""
    labels: Annotated[tuple[FileName, ...], Distinct] = Field(
        (), min_length=1, max_length=100, exclude_if=lambda exports: not exports
    )
    """Exports in any form of `tasks.datasets.tools`; of an image in several of them the last one counts."""
    classes: Annotated[tuple[FileName, ...], Distinct] = Field(
        (), min_length=1, max_length=1000, exclude_if=lambda names: not names
    )
    """Names of the classes or joints; by default those of the exports."""
    held_out: Number = Field(0.2, ge=0, lt=1)
    """Share of the labeled images that are for testing alone, by a hash of their names: a label that is added moves no image."""
    unlabeled: Flag = False
    """Keep images without a label in the pool, as `lossbench pick` does; by default only labeled ones are read."""


class DataSource(Settings):
    """Where a task's images come from: files in the data folder, or rendered scenes."""

    forms: ClassVar[tuple[str, ...]] = ("scenes", "labeled")
    """Fields of which one at most may be given: each names the source of all images."""

    scenes: SceneSettings | None = None
    """Render scenes instead of reading the data folder."""
    labeled: LabeledFolder | None = Field(default=None, exclude_if=lambda folder: folder is None)
    """Read a folder of images, and exports of annotation tools."""
    validation: Whole = Field(ge=0, le=MOST_IMAGES)
    """The number of pool images held out for validation: never candidates, never labeled."""

    @property
    def read_again(self) -> bool:
        """Whether the next labeling round reads the same images, so that decoded ones are worth keeping."""
        return self.labeled is not None and self.labeled.unlabeled

    @model_validator(mode="after")
    def _one_source(self) -> DataSource:
        given = [form for form in self.forms if getattr(self, form) is not None]
        if len(given) > 1:
            msg = f"{' and '.join(given[:2])} are two sources of images; keep one"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _pool_holds_the_validation_slice(self) -> DataSource:
        if self.scenes and self.validation >= self.scenes.pool:
            msg = f"a pool of {self.scenes.pool} images cannot hold out {self.validation} for validation; lower validation"
            raise ValueError(msg)
        return self


class TaskSettings(Settings):
    """The `task` table of a protocol: the fields that all kinds share. Each kind derives its own class."""

    kind: str
    data: DataSource
    recipe: Recipe

    def untrained(self) -> TaskSettings:
        """The same images and labels, without a start from other weights: what a task needs that trains nothing."""
        return self


class Stress(Settings):
    """Changes that make a pool harder than a clean, balanced one. Test images and the validation slice are not changed."""

    label_noise: Number = Field(default=0.0, ge=0, lt=1)
    """Expected share of wrong labels; see `Task.mislabeled`. Under one seed they are the same for all strategies."""
    imbalance: Number = Field(default=1.0, ge=1, le=1_000_000)
    """Factor by which the most reduced group of the pool shrinks; the other groups shrink by factors between 1 and this."""
    missing_groups: Whole = Field(default=0, ge=0, le=1000)
    """The number of groups, drawn by the seed, that are absent from the first round's labeled images."""


CLEAN = Stress()
