"""Settings of pose protocols."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.models.settings import LibraryPoseSettings, PoseModelSettings
from tasks.settings import DataSource, Distinct, FileName, Flag, Number, Recipe, Settings, TaskSettings, Whole

FRAME_PER_PERSON = 1.25
"""Side of the usual crop over the size of the person (Newell et al. 2016)."""

Joint = Annotated[Whole, Field(ge=0, lt=1000)]
"""An index; `PoseTask` checks it against the joints of the data."""
Joints = Annotated[tuple[Joint, ...], Field(min_length=1), Distinct]


class PoseData(DataSource):
    """Annotations in MPII's JSON form in the data folder, or rendered scenes. Paths are relative to the data folder."""

    images: FileName = "pose/images"
    pool: FileName = "pose/annotations/mpii_train.json"
    test: FileName = "pose/annotations/mpii_val.json"
    center_shift: Number = Field(0.0, ge=-200, le=200)
    """Moves each center down by this many pixels per unit of scale; HRNet shifts MPII's by 15."""
    frame: Number = Field(FRAME_PER_PERSON, ge=0.1, le=10, exclude_if=lambda frame: frame == FRAME_PER_PERSON)
    """Side of the frame over the size of the person, which is 200 pixels times MPII's scale."""
    margin: Number = Field(1.25, ge=1, le=4)
    """Side of the squares held in memory over the side of the frame; above 1, rotations show pixels beyond the frame."""


class PosePretraining(Settings):
    """Other persons, on whom the same model is trained before the first round."""

    data: PoseData
    recipe: Recipe


class PoseSettings(TaskSettings):
    """The `task` table of a pose protocol: MPII, LSP-Extended in MPII's form, or rendered scenes."""

    kind: Literal["pose"]
    data: PoseData
    model: PoseModelSettings
    sigma: Number = Field(1.0, ge=0.01, le=100)
    """Standard deviation of the Gaussians in the target heatmaps, in cells."""
    rotation_degrees: Number = Field(30.0, ge=0, le=180)
    """Rotations are drawn from [-rotation_degrees, rotation_degrees]. A frozen trunk sees no rotated or scaled images."""
    zoom: Number = Field(0.25, ge=0, lt=1)
    """Scales are drawn from [1 - zoom, 1 + zoom]."""
    flip_test: Flag = False
    """Average the heatmaps of an image and of the flipped image before the metrics."""
    posterior: Literal["positive", "softmax"] = "positive"
    """`positive`: the heatmap's positive part, normalized to sum 1; `softmax`: as in the paper's entropy baseline."""
    counted_joints: Joints = (0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15)
    """The joints over which PCKh is measured; pelvis and thorax are left out, as in MPII's evaluation."""
    pretraining: PosePretraining | None = Field(None, exclude_if=lambda table: table is None)

    @property
    def stored_views(self) -> int:
        """How many views of each image a frozen trunk sees."""
        return 2 if isinstance(self.model, LibraryPoseSettings) and self.model.mirrored else 1

    @model_validator(mode="after")
    def _flip_test_has_mirrored_images(self) -> PoseSettings:
        model = self.model
        if self.flip_test and isinstance(model, LibraryPoseSettings) and model.freeze and not model.mirrored:
            msg = "`flip_test` of a frozen trunk needs `mirrored` in its table `model`"
            raise ValueError(msg)
        return self

    def untrained(self) -> PoseSettings:
        """The same settings without pretraining."""
        return self.model_copy(update={"pretraining": None})

    @model_validator(mode="after")
    def _margin_is_even(self) -> PoseSettings:
        for data in (self.data, *([self.pretraining.data] if self.pretraining else [])):
            extra = round(self.model.pixels * data.margin) - self.model.pixels
            if extra % 2:
                msg = f"margin {data.margin} adds {extra} pixels to the frame, which is odd; change it slightly"
                raise ValueError(msg)
        return self
