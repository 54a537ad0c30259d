"""Settings of detection protocols."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from tasks.classification.settings import ClassificationSettings
from tasks.datasets.names import VOC_CLASSES
from tasks.models.settings import DetectorSettings, ResNetSettings, SmallSsdSettings, stored_views
from tasks.settings import DataSource, Distinct, FileName, Flag, Number, Settings, TaskSettings, Whole

ImageList = Annotated[str, Field(pattern=r"^\w[\w-]*/\w[\w.-]*$", max_length=100)]
"""YEAR/SET, such as 2007/trainval."""
ImageLists = Annotated[tuple[ImageList, ...], Field(min_length=1, max_length=100), Distinct]


class CocoFiles(Settings):
    """Files in COCO's JSON form, and the folders of their images. Paths start in --data."""

    pool: FileName
    pool_images: FileName
    test: FileName
    test_images: FileName


class DetectionData(DataSource):
    """PASCAL VOC in the data folder, other files, or rendered scenes."""

    forms: ClassVar[tuple[str, ...]] = ("scenes", "labeled", "coco", "yolo")

    coco: CocoFiles | None = Field(default=None, exclude_if=lambda files: files is None)
    """Read these files instead of VOC's; without `classes`, all their classes."""
    yolo: FileName | None = Field(default=None, exclude_if=lambda file: file is None)
    """Read the YAML file of a YOLO data set instead: `train` is the pool, and `test`, or `val`, are the test images."""

    pool: ImageLists = ("2007/trainval",)
    """Lists of images, YEAR/SET each."""
    test: ImageLists = ("2007/test",)
    classes: Annotated[tuple[FileName, ...], Field(min_length=1, max_length=1000), Distinct] = VOC_CLASSES
    """Objects of other classes count as background."""
    need_object: Flag = False
    """Leave out images without an object of these classes that is not difficult."""
    stored_pixels: Whole | None = Field(None, ge=32, le=4096)
    """Side of the squares held in memory; by default that of the model's input."""


class RowSettings(Settings):
    """Which anchors have weight in an image's posteriors."""

    most: Whole = Field(default=200, ge=1, le=1_000_000)
    """At most this many anchors of an image have weight."""
    threshold: Number = Field(default=0.7, ge=0, le=1)
    """And only anchors whose probability of an object is at least this multiple of the image's highest one.

    Relative, because a model trained on few labels is confident of no object. Share of the weight on rows whose box overlaps an
    object, on the validation slice of voc2007-mini at mAP .35: absolute .05 gives .07, relative .5 gives .52, .7 .62.
    """


class DetectionSettings(TaskSettings):
    """The `task` table of a detection protocol."""

    kind: Literal["detection"]
    data: DetectionData
    model: DetectorSettings
    zoom: Number = Field(4.0, ge=1, le=100)
    """The largest factor of zooming out in SSD's augmentation."""
    rows: RowSettings = RowSettings()
    pretraining: ClassificationSettings | None = None
    """Start the trunk of the small SSD from a classifier that is trained on other images."""

    @property
    def stored_views(self) -> int:
        """How many views of each image a frozen trunk sees."""
        return stored_views(self.model)

    def untrained(self) -> DetectionSettings:
        """The same settings without pretraining."""
        return self.model_copy(update={"pretraining": None})

    @model_validator(mode="after")
    def _trunks_match(self) -> DetectionSettings:
        if self.pretraining:
            trunk, model = self.pretraining.model, self.model
            if not (
                isinstance(trunk, ResNetSettings)
                and isinstance(model, SmallSsdSettings)
                and (trunk.width, trunk.stem) == (model.width, "imagenet")
            ):
                msg = (
                    "pretraining starts the trunk of an SSD on resnet18, with its width and the stem `imagenet`; "
                    "for another model take a base without pretraining, such as voc2007-frozen"
                )
                raise ValueError(msg)
        return self
