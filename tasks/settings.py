"""Settings that all kinds of task share. A kind's own settings are in `tasks/KIND/settings.py`, the values in `configs/tasks/`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SCENE_BATCHES = 5
"""The number of pool files of the rendered classification scenes; CIFAR-10 has as many training batches."""


class Settings(BaseModel):
    """A frozen table of a configuration file. Unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Recipe(Settings):
    """How a model is trained on one labeled set."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    optimizer: Literal["sgd", "adamw", "rmsprop"]
    learning_rate: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    """Used by SGD only."""
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["steps", "one-cycle"] = "steps"
    """`steps`: multiply the learning rate by 0.1 at each milestone; `one-cycle`: raise and lower it, per batch (Smith 2018).

    As in torch, one-cycle moves the momentum (AdamW's first beta) the other way, .95 to .85 and back, and ignores `momentum`.
    """
    milestones: tuple[float, ...] = ()
    """Of `steps`, as shares of the epochs."""
    warm_start: bool = False
    """Start each round from the weights of the previous round. The paper does not say which it does; the default is a cold start."""
    precision: Literal["fp32", "bf16"] = "fp32"
    fused: bool = Field(default=False, exclude_if=lambda fused: not fused)
    """Whether one kernel updates all weights: faster, and rounded otherwise than the plain optimizer. Not of RMSprop."""


class SceneSettings(Settings):
    """Which scenes to render: the seed of all their random streams, and the number of images in each split."""

    seed: int = Field(default=0, ge=0)
    pool: int = Field(default=2000, ge=SCENE_BATCHES)
    test: int = Field(default=500, ge=1)


class DataSource(Settings):
    """Where a task's images come from: files in the data folder, or rendered scenes."""

    scenes: SceneSettings | None = None
    """Render scenes instead of reading the data folder."""
    validation: int = Field(ge=0)
    """The number of pool images held out for validation: never candidates, never labeled."""


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

    label_noise: float = Field(default=0.0, ge=0, lt=1)
    """Expected share of wrong labels; see `Task.mislabeled`. Under one seed they are the same for all strategies."""
    imbalance: float = Field(default=1.0, ge=1)
    """Factor by which the most reduced group of the pool shrinks; the other groups shrink by factors between 1 and this."""
    missing_groups: int = Field(default=0, ge=0)
    """The number of groups, drawn by the seed, that are absent from the first round's labeled images."""


CLEAN = Stress()
