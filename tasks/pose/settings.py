"""Settings of a pose protocol."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tasks.models.settings import HourglassSettings
from tasks.settings import DataSource, Recipe, Settings, TaskSettings

FRAME_PER_PERSON = 1.25
"""Side of the usual crop over the size of the person (Newell et al. 2016)."""


class PoseData(DataSource):
    """MPII-like JSON below the data folder, or rendered scenes."""

    images: str = "pose/images"
    pool: str = "pose/annotations/mpii_train.json"
    test: str = "pose/annotations/mpii_val.json"
    center_shift: float = 0.0
    """Moves each center down by this many pixels per unit of scale; HRNet shifts MPII's by 15."""
    frame: float = Field(FRAME_PER_PERSON, gt=0, exclude_if=lambda given: given == FRAME_PER_PERSON)
    """Side of the frame over the size of the person, which is 200 pixels times MPII's scale."""
    margin: float = Field(1.25, ge=1)
    """Side of the squares held in memory over the side of the frame: what rotations can reach."""


class PosePretraining(Settings):
    """Other persons, on whom the same hourglass is trained before its first label."""

    data: PoseData
    recipe: Recipe


class PoseSettings(TaskSettings):
    """A pose protocol: MPII, LSP-Extended in MPII's form, or rendered scenes."""

    kind: Literal["pose"]
    data: PoseData
    model: HourglassSettings
    sigma: float = Field(1.0, gt=0)
    """Of the target heatmaps, in cells."""
    rotation_degrees: float = Field(30.0, ge=0)
    zoom: float = Field(0.25, ge=0, lt=1)
    """Scales are drawn from [1 - zoom, 1 + zoom]."""
    flip_test: bool = False
    """Average the heatmaps of an image and of its mirror image before the metrics."""
    posterior: Literal["positive", "softmax"] = "positive"
    """`positive`: the heatmap's positive part, normalised to one; `softmax`: as the paper's entropy baseline."""
    counted_joints: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15)
    """PCKh is over these joints; pelvis and thorax are left out, as MPII's evaluation does."""
    pretraining: PosePretraining | None = Field(None, exclude_if=lambda given: given is None)

    @model_validator(mode="after")
    def _frame_has_whole_edges(self) -> PoseSettings:
        beyond = round(self.model.pixels * self.data.margin) - self.model.pixels
        if beyond % 2:
            msg = f"margin {self.data.margin} leaves {beyond} pixels around the frame, which is odd; change it a little"
            raise ValueError(msg)
        return self
