"""Settings that all kinds of task share. Numbers stand in `configs/`; here, what they mean. A kind's own: `tasks/KIND/settings.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SCENE_BATCHES = 5
"""Rendered scenes for classification are written in as many files as CIFAR-10 has batches."""


class Settings(BaseModel):
    """A frozen piece of a configuration; a field that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Recipe(Settings):
    """How a model is trained from one labeled set. Shares are of the epochs."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    optimizer: Literal["sgd", "adamw", "rmsprop"]
    learning_rate: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of SGD only."""
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["steps", "one-cycle"] = "steps"
    """`steps`: the rate times 0.1 at each milestone; `one-cycle`: up and down again, by batch (Smith 2018).

    As in torch, one-cycle moves the momentum (AdamW's first beta) the other way, .95 to .85 and back, whatever `momentum` says.
    """
    milestones: tuple[float, ...] = ()
    warm_start: bool = False
    """Whether a round starts from the weights of the round before it. The paper does not say; cold is the default."""
    precision: Literal["fp32", "bf16"] = "fp32"


class SceneSettings(Settings):
    """Which scenes to render: the seed of all their streams and the number of images in each split."""

    seed: int = Field(default=0, ge=0)
    pool: int = Field(default=2000, ge=SCENE_BATCHES)
    test: int = Field(default=500, ge=1)


class DataSource(Settings):
    """Where a task's images come from: below the data folder, or rendered."""

    scenes: SceneSettings | None = None
    validation: int = Field(ge=0)
    """How many pool images are held out for making choices: never candidates, never labeled."""


class TaskSettings(Settings):
    """What the settings of every kind of task have; each kind derives its own."""

    kind: str
    data: DataSource
    recipe: Recipe


class Stress(Settings):
    """What makes a pool harder than a clean, balanced one. Test images and the validation slice stay as they are."""

    label_noise: float = Field(default=0.0, ge=0, lt=1)
    """Share of labels that the oracle gives wrong, as `Task.mislabeled` describes; the same for all under a seed."""
    imbalance: float = Field(default=1.0, ge=1)
    """How many times rarer, beside what it was, the rarest group of the pool becomes; the others lie between."""
    missing_groups: int = Field(default=0, ge=0)
    """How many groups, drawn by the seed, no image of the first round shows."""


CLEAN = Stress()
