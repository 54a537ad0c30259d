"""Settings of pose protocols."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tasks.models.settings import HourglassSettings
from tasks.settings import DataSource, Recipe, Settings, TaskSettings

FRAME_PER_PERSON = 1.25
"""Side of the usual crop over the size of the person (Newell et al. 2016)."""


class PoseData(DataSource):
    """Annotations in MPII's JSON form in the data folder, or rendered scenes. Paths are relative to the data folder."""

    images: str = "pose/images"
    pool: str = "pose/annotations/mpii_train.json"
    test: str = "pose/annotations/mpii_val.json"
    center_shift: float = 0.0
    """Moves each center down by this many pixels per unit of scale; HRNet shifts MPII's by 15."""
    frame: float = Field(FRAME_PER_PERSON, gt=0, exclude_if=lambda frame: frame == FRAME_PER_PERSON)
    """Side of the frame over the size of the person, which is 200 pixels times MPII's scale."""
    margin: float = Field(1.25, ge=1)
    """Side of the squares held in memory over the side of the frame; above 1, rotations show pixels beyond the frame."""


class PosePretraining(Settings):
    """Other persons, on whom the same hourglass is trained before the first round."""

    data: PoseData
    recipe: Recipe


class PoseSettings(TaskSettings):
    """The `task` table of a pose protocol: MPII, LSP-Extended in MPII's form, or rendered scenes."""

    kind: Literal["pose"]
    data: PoseData
    model: HourglassSettings
    sigma: float = Field(1.0, gt=0)
    """Standard deviation of the Gaussians in the target heatmaps, in cells."""
    rotation_degrees: float = Field(30.0, ge=0)
    """Rotations are drawn from [-rotation_degrees, rotation_degrees]."""
    zoom: float = Field(0.25, ge=0, lt=1)
    """Scales are drawn from [1 - zoom, 1 + zoom]."""
    flip_test: bool = False
    """Average the heatmaps of an image and of the flipped image before the metrics."""
    posterior: Literal["positive", "softmax"] = "positive"
    """`positive`: the heatmap's positive part, normalized to sum 1; `softmax`: as in the paper's entropy baseline."""
    counted_joints: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15)
    """The joints over which PCKh is measured; pelvis and thorax are left out, as in MPII's evaluation."""
    pretraining: PosePretraining | None = Field(None, exclude_if=lambda table: table is None)

    def untrained(self) -> PoseSettings:
        """The same settings without pretraining."""
        return self.model_copy(update={"pretraining": None})

    @model_validator(mode="after")
    def _margin_is_even(self) -> PoseSettings:
        extra = round(self.model.pixels * self.data.margin) - self.model.pixels
        if extra % 2:
            msg = f"margin {self.data.margin} adds {extra} pixels to the frame, which is odd; change it slightly"
            raise ValueError(msg)
        return self
