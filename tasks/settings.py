"""Every setting of a task protocol: the form of `configs/tasks/*.toml`. Numbers stand there; here, what they mean."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.scenes import SceneSettings

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


FRAME_PER_PERSON = 1.25  # the usual crop (Newell et al. 2016)


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
    loss_weight: float = Field(1.0, ge=0)
    """The paper's lambda: factor of the loss-prediction objective."""
    margin: float = Field(1.0, gt=0)
    """The paper's xi."""
    detach_after: float = Field(0.6, ge=0, le=1)
    """Share of the training after which the model no longer feels the loss-prediction objective."""
    taps: tuple[int, ...] | None = Field(None, min_length=1, exclude_if=lambda given: given is None)
    """Numbers of the model's taps that LossNet looks at, the first is 0; all where not given."""
    warm_start: bool = False
    """Whether a round starts from the weights of the round before it. The paper does not say; cold is the default."""
    precision: Literal["fp32", "bf16"] = "fp32"


class DataSource(Settings):
    """Where a task's images come from: below the data folder, or rendered."""

    scenes: SceneSettings | None = None
    validation: int = Field(ge=0)
    """How many pool images are held out for making choices: never candidates, never labeled."""


class ClassifierSettings(Settings):
    """ResNet-18, with CIFAR's stem unless said otherwise."""

    width: int = Field(64, ge=1)
    """Channels of the first stage; 64 is the original."""
    stem: Literal["cifar", "half", "imagenet"] = "cifar"
    """A 3x3 convolution of stride 1 or 2, or the original 7x7 convolution and max-pool of total stride 4."""
    pixels: int = Field(32, ge=16)
    """Side of the input; images of another size are scaled to it."""


class ClassificationSettings(Settings):
    """A classification protocol: CIFAR-10 or rendered scenes."""

    kind: Literal["classification"]
    data: DataSource
    model: ClassifierSettings
    recipe: Recipe


class DetectionData(DataSource):
    """VOC below the data folder, or rendered scenes."""

    pool: tuple[str, ...] = ("2007/trainval",)
    """Lists of images, YEAR/SET."""
    test: tuple[str, ...] = ("2007/test",)
    classes: tuple[str, ...] = VOC_CLASSES
    """Objects of other classes are background."""
    need_object: bool = False
    """Leave out images without an object of these classes."""
    stored_pixels: int | None = Field(None, ge=32)
    """Side of the squares held in memory; the model's input where it is not given."""


class FullSsdSettings(Settings):
    """An SSD from an mmdet config."""

    kind: Literal["mmdet"]
    config: str = "pascal_voc/ssd300_voc0712.py"
    """A path, or a path below the configs that mmdet ships."""
    pixels: int = 300
    imagenet: bool = True
    """Start from torchvision's ImageNet weights of VGG-16 (downloaded by torchvision where they are not cached)."""


class SmallSsdSettings(Settings):
    """SSD on a ResNet-18: sources are the last three stages (strides 8, 16, 32) and one extra map."""

    kind: Literal["resnet18"]
    width: int = Field(16, ge=1)
    pixels: int = Field(96, ge=64)
    sizes: tuple[float, float, float, float, float] = (0.12, 0.28, 0.48, 0.72, 1.0)
    """Side of the square anchors of each level over the image's side; the fifth is the last level's upper size."""
    extra_channels: int = 64


class RowSettings(Settings):
    """Which anchors stand for an image."""

    most: int = Field(default=200, ge=1)
    """At most this many anchors of an image have weight."""
    threshold: float = Field(default=0.7, ge=0, le=1)
    """And only those at least this many times as likely to show an object as the image's likeliest anchor.

    Relative, because a model of few labels is sure of nothing. Share of the weight on rows whose box overlaps an
    object, on the validation slice of voc2007-mini at mAP .35: absolute .05 gives .07, relative .5 gives .52, .7 .62.
    """


class DetectionSettings(Settings):
    """A detection protocol: PASCAL VOC or rendered scenes."""

    kind: Literal["detection"]
    data: DetectionData
    model: Annotated[FullSsdSettings | SmallSsdSettings, Field(discriminator="kind")]
    recipe: Recipe
    zoom: float = Field(4.0, ge=1)
    """The largest factor of SSD's zooming out."""
    rows: RowSettings = RowSettings()
    pretraining: ClassificationSettings | None = None
    """Starts the trunk of the small SSD from a classifier of other images."""

    @model_validator(mode="after")
    def _trunks_are_alike(self) -> DetectionSettings:
        if self.pretraining:
            start = self.pretraining.model
            if self.model.kind != "resnet18" or (start.width, start.stem) != (self.model.width, "imagenet"):
                msg = "pretraining starts the trunk of an SSD on resnet18: with its width, and the stem `imagenet`"
                raise ValueError(msg)
        return self


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


class HourglassSettings(Settings):
    """A stacked hourglass; two stacks of width 256 at 256 pixels are the paper's."""

    stacks: int = Field(2, ge=1)
    width: int = Field(256, ge=8, multiple_of=8)
    depth: int = Field(4, ge=1)
    """How often an hourglass halves its map."""
    pixels: int = Field(256, ge=32, multiple_of=4)

    @model_validator(mode="after")
    def _map_is_large_enough(self) -> HourglassSettings:
        if self.pixels // 4 < 2**self.depth:
            msg = f"{self.pixels} pixels give a map of {self.pixels // 4}, which cannot be halved {self.depth} times"
            raise ValueError(msg)
        return self


class PosePretraining(Settings):
    """Other persons, on whom the same hourglass is trained before its first label."""

    data: PoseData
    recipe: Recipe


class PoseSettings(Settings):
    """A pose protocol: MPII, LSP-Extended in MPII's form, or rendered scenes."""

    kind: Literal["pose"]
    data: PoseData
    model: HourglassSettings
    recipe: Recipe
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


TaskSettings = Annotated[ClassificationSettings | DetectionSettings | PoseSettings, Field(discriminator="kind")]
