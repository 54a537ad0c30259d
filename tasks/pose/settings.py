"""Settings of pose protocols."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from tasks.models.settings import FreezableSettings, PoseModelSettings, stored_views
from tasks.settings import DataSource, Distinct, FileName, Flag, Number, Recipe, Settings, TaskSettings, Whole

FRAME_PER_PERSON = 1.25
"""Side of the usual crop over the size of the person (Newell et al. 2016)."""

MPII_COUNTED = (0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15)
Joint = Annotated[Whole, Field(ge=0, lt=1000)]
"""An index; `PoseTask` checks it against the joints of the data."""
Joints = Annotated[tuple[Joint, ...], Field(min_length=1), Distinct]


class CocoPersons(Settings):
    """Files in COCO's JSON form, and the folders of their images. Paths start in --data."""

    pool: FileName
    pool_images: FileName
    test: FileName
    test_images: FileName
    category: FileName | None = None
    """Whose joints are read, where several categories have some."""


class PoseData(DataSource):
    """Annotations in MPII's or COCO's JSON form in the data folder, or rendered scenes. Paths are relative to the data folder."""

    forms: ClassVar[tuple[str, ...]] = ("scenes", "labeled", "coco")

    coco: CocoPersons | None = Field(default=None, exclude_if=lambda files: files is None)
    """Read these files instead of MPII's: any joints, with names and limbs from the file."""
    images: FileName = "pose/images"
    pool: FileName = "pose/annotations/mpii_train.json"
    test: FileName = "pose/annotations/mpii_val.json"
    center_shift: Number = Field(0.0, ge=-200, le=200)
    """Moves each center down by this many pixels per unit of scale; HRNet shifts MPII's by 15."""
    frame: Number = Field(FRAME_PER_PERSON, ge=0.1, le=10, exclude_if=lambda frame: frame == FRAME_PER_PERSON)
    """Side of the frame over the size of the person: 200 pixels times MPII's scale, or the longer side of COCO's box."""
    margin: Number = Field(1.25, ge=1, le=4)
    """Side of the squares held in memory over the side of the frame; above 1, rotations show pixels beyond the frame."""

    @property
    def has_boxes(self) -> bool:
        """Whether persons have boxes and no heads: COCO's own, or whole images."""
        return self.coco is not None or self.labeled is not None

    @model_validator(mode="after")
    def _center_fits(self) -> PoseData:
        if self.has_boxes and self.center_shift:
            msg = "center_shift is of MPII's form; remove it"
            raise ValueError(msg)
        return self


class PosePretraining(Settings):
    """Other persons, on whom the same model is trained before the first round."""

    data: PoseData
    recipe: Recipe


class PoseSettings(TaskSettings):
    """The `task` table of a pose protocol: MPII, LSP-Extended in MPII's form, COCO, or rendered scenes."""

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
    counted_joints: Joints = MPII_COUNTED
    """The joints over which PCKh is measured; pelvis and thorax are left out, as in MPII's evaluation.

    In COCO's form and labeled folders this default stands for all joints of the file."""
    normalized_by: Literal["head", "box"] = Field(default="head", exclude_if=lambda size: size == "head")
    """`head`: PCKh, within half a head; `box`: PCK, within 0.2 of the longer side of the person's box, in COCO's form, or of the image, in a
    labeled folder."""
    pretraining: PosePretraining | None = Field(None, exclude_if=lambda table: table is None)

    @property
    def stored_views(self) -> int:
        """How many views of each image a frozen trunk sees."""
        return stored_views(self.model)

    @model_validator(mode="after")
    def _flip_test_has_mirrored_images(self) -> PoseSettings:
        model = self.model
        if self.flip_test and isinstance(model, FreezableSettings) and model.freeze and not model.mirrored:
            msg = "`flip_test` of a frozen trunk needs `mirrored` in its table `model`"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _data_has_the_size(self) -> PoseSettings:
        for data in (self.data, *([self.pretraining.data] if self.pretraining else [])):
            if data.has_boxes and self.normalized_by == "head":
                msg = 'these data give no size of a head; set `normalized_by = "box"`'
                raise ValueError(msg)
            if not data.has_boxes and self.normalized_by == "box":
                msg = '`normalized_by = "box"` needs persons in COCO\'s form, which have boxes'
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
