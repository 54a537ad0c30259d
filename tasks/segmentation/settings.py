"""Settings of segmentation protocols."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from tasks.datasets.names import CAMVID_CLASSES, CAMVID_VOID
from tasks.models.settings import SegmenterSettings, stored_views
from tasks.settings import DataSource, Distinct, FileName, Number, Settings, TaskSettings, Whole

MOST_CLASSES, LARGEST_NUMBER = 250, 255
"""Of masks of 8 bits; the numbers between are for pixels without a class (`tasks.datasets.masks`)."""
Split = Annotated[str, Field(pattern=r"^\w[\w-]*$", max_length=100)]


class MaskFolders(Settings):
    """A folder of images and one of their masks, relative to the data folder."""

    images: FileName
    masks: FileName
    suffix: FileName | None = None
    """What the name of a mask has more than the name of its image."""


Folders = Annotated[tuple[MaskFolders, ...], Field(min_length=1, max_length=100), Distinct]


class FolderData(DataSource):
    """Folders of images and masks in the data folder, by default CamVid's, or rendered scenes."""

    layout: Literal["folders"] = "folders"
    pool: Folders = (
        MaskFolders(images="camvid/train", masks="camvid/trainannot"),
        MaskFolders(images="camvid/val", masks="camvid/valannot"),
    )
    test: Folders = (MaskFolders(images="camvid/test", masks="camvid/testannot"),)
    classes: Annotated[tuple[FileName, ...], Field(min_length=2, max_length=MOST_CLASSES), Distinct] = CAMVID_CLASSES
    """The class of number 0 in the masks, of number 1, ..."""
    void: Annotated[tuple[Annotated[Whole, Field(ge=0, le=LARGEST_NUMBER)], ...], Distinct] = CAMVID_VOID
    """The numbers of pixels that are of no class: neither trained nor evaluated."""
    stored_pixels: Whole | None = Field(None, ge=16, le=4096)
    """Side of the squares and label maps held in memory; by default that of the model's input."""


class CityscapesData(DataSource):
    """Cityscapes in its official layout in the data folder, with its 19 classes."""

    forms: ClassVar[tuple[str, ...]] = ("layout", "scenes", "labeled")

    layout: Literal["cityscapes"]
    folder: FileName = "cityscapes"
    """Holds `leftImg8bit` and `gtFine`."""
    pool: Annotated[tuple[Split, ...], Field(min_length=1, max_length=100), Distinct] = ("train",)
    test: Annotated[tuple[Split, ...], Field(min_length=1, max_length=100), Distinct] = ("val",)
    stored_pixels: Whole | None = Field(None, ge=16, le=4096)
    """As of `FolderData`."""


class CocoMaskData(DataSource):
    """Polygons and run lengths in COCO's JSON form. Paths start in --data."""

    forms: ClassVar[tuple[str, ...]] = ("layout", "scenes", "labeled")

    layout: Literal["coco"]
    pool: FileName
    pool_images: FileName
    test: FileName
    test_images: FileName
    """The two files, and the folders of their images."""
    classes: Annotated[tuple[FileName, ...], Field(min_length=1, max_length=MOST_CLASSES), Distinct] | None = None
    """By default all categories of the files. Regions of others count as uncovered."""
    background: FileName | None = None
    """The class of pixels that no region covers; by default they are of no class, neither trained nor evaluated."""
    stored_pixels: Whole | None = Field(None, ge=16, le=4096)
    """As of `FolderData`."""


def _layout_of(data: Any) -> object:
    return data.get("layout", "folders") if isinstance(data, dict) else getattr(data, "layout", "folders")


SegmentationData = Annotated[
    Annotated[FolderData, Tag("folders")]
    | Annotated[CityscapesData, Tag("cityscapes")]
    | Annotated[CocoMaskData, Tag("coco")],
    Discriminator(_layout_of),
]


class CellSettings(Settings):
    """The rows of an image's posteriors: the cells of a coarse grid."""

    grid: Whole = Field(default=8, ge=1, le=128)
    """Cells side by side; an image has `grid` times `grid` rows."""
    weight: Literal["even", "classes"] = "even"
    """`even`: all cells have the same weight; `classes`: all classes that are predicted in an image have, each divided
    among its cells, as in the metric."""


class SegmentationSettings(TaskSettings):
    """The `task` table of a segmentation protocol: CamVid, Cityscapes, folders of images and masks, COCO, or rendered scenes."""

    kind: Literal["segmentation"]
    data: SegmentationData
    model: SegmenterSettings
    cells: CellSettings = CellSettings()
    smallest_crop: Number = Field(0.5, gt=0, le=1)
    """Random crops have sides between this share of the image's and 1. A frozen trunk sees whole images."""

    @property
    def stored_views(self) -> int:
        """How many views of each image a frozen trunk sees."""
        return stored_views(self.model)
