"""Settings of the networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from tasks.settings import Distinct, FileName, Flag, Number, Rising, Settings, Whole

MOST_CHANNELS, MOST_PIXELS = 1024, 2048
"""Of a layer, and of a side of the input: beyond all published networks of these kinds."""
Size = Annotated[Number, Field(gt=0, le=2)]


class ResNetSettings(Settings):
    """ResNet-18; by default with the stem for CIFAR's small images."""

    kind: Literal["resnet18"] = Field("resnet18", exclude_if=lambda kind: kind == "resnet18")
    width: Whole = Field(64, ge=1, le=MOST_CHANNELS)
    """Channels of the first stage; 64 is the original."""
    stem: Literal["cifar", "half", "imagenet"] = "cifar"
    """A 3x3 convolution of stride 1 or 2, or the original 7x7 convolution and max-pool of total stride 4."""
    pixels: Whole = Field(32, ge=16, le=MOST_PIXELS)
    """Side of the input; images are scaled to it."""


class FreezableSettings(Settings):
    """A model whose trunk may be frozen."""

    freeze: Flag = False
    """Train the layers after the trunk alone. What the trunk gives is computed once for each image and then read from files."""
    mirrored: Flag = False
    """With `freeze`: store the mirrored images, too, for random flips in training. Not frozen, images are always flipped."""
    trunk_precision: Literal["fp32", "bf16"] = "bf16"
    """With `freeze`: the precision in which the trunk runs. What it gives is stored in fp16."""

    @model_validator(mode="after")
    def _mirrors_what_is_stored(self) -> FreezableSettings:
        if self.mirrored and not self.freeze:
            msg = "`mirrored` is for frozen trunks; images are flipped at random where the trunk is trained"
            raise ValueError(msg)
        return self


def stored_views(model: Settings) -> int:
    """How many views of each image a model's frozen trunk sees: the image, and where it says so the mirrored one."""
    return 2 if isinstance(model, FreezableSettings) and model.mirrored else 1


class LibrarySettings(FreezableSettings):
    """A classifier of timm or torchvision, by its name there."""

    kind: Literal["timm", "torchvision"]
    name: Annotated[FileName, Field(max_length=100)]
    weights: FileName = "none"
    """`none`: random; `hub`: the library's default weights, which it downloads if they are not cached; `package`: those
    that a Python package ships (`tasks.models.weights.PACKAGES`); else the path of a state dict, .pth or .safetensors."""
    pixels: Whole = Field(224, ge=16, le=MOST_PIXELS)
    """Side of the input; images are scaled to it."""
    taps: Annotated[tuple[FileName, ...], Field(min_length=1, max_length=16), Distinct] | None = None
    """Names of the submodules whose outputs are the taps; by default four, see `LibraryBackbone`."""
    hidden: Whole = Field(0, ge=0, le=65536)
    """Size of a hidden layer before the linear classifier; 0 for none."""


class OwnModelSettings(FreezableSettings):
    """A model from a Python file; see `tasks.models.tapped.OwnModel`. What its head reads is what a frozen one stores."""

    kind: Literal["file"]
    name: Annotated[FileName, Field(max_length=100)]
    """Of the model in the file that `--model-file` loads."""
    pixels: Whole = Field(ge=16, le=MOST_PIXELS)
    """Side of the input; images are scaled to it."""
    freeze: Flag = Field(default=False, exclude_if=lambda freeze: not freeze)
    mirrored: Flag = Field(default=False, exclude_if=lambda mirrored: not mirrored)
    trunk_precision: Literal["fp32", "bf16"] = Field("bf16", exclude_if=lambda precision: precision == "bf16")


def _kind_of(model: object, usual: str = "resnet18") -> object:
    return model.get("kind", usual) if isinstance(model, dict) else getattr(model, "kind", usual)


ClassifierSettings = Annotated[
    Annotated[ResNetSettings, Tag("resnet18")]
    | Annotated[LibrarySettings, Tag("timm")]
    | Annotated[LibrarySettings, Tag("torchvision")]
    | Annotated[OwnModelSettings, Tag("file")],
    Discriminator(_kind_of),
]
"""The model of a classification protocol; ResNet-18 where no kind is named."""


class FullSsdSettings(Settings):
    """A single-stage detector that an mmdet config describes: SSD, RetinaNet, FCOS, ATSS, GFL, YOLOX, RTMDet, ..."""

    kind: Literal["mmdet"]
    config: FileName = "pascal_voc/ssd300_voc0712.py"
    """Path of the config, relative to the configs that mmdet ships; with `--trust-config` also of any file, whose code is run."""
    pixels: Whole = Field(300, ge=32, le=MOST_PIXELS)
    imagenet: Flag = True
    """Start the backbone from ImageNet weights: VGG-16 from torchvision's, others from those that the config names. They are
    downloaded if they are not cached. By default for SSD's configs alone, named ssd*."""
    weights: FileName = Field("none", exclude_if=lambda weights: weights == "none")
    """Of the whole detector: `none`; `hub`: the checkpoint that mmdet publishes for the config, downloaded if it is not cached;
    else the path of a checkpoint. Layers of another number of classes keep their random weights."""

    @model_validator(mode="before")
    @classmethod
    def _imagenet_by_default_for_ssd(cls, table: Any) -> Any:
        if isinstance(table, dict) and "imagenet" not in table and isinstance(table.get("config"), str):
            return table | {"imagenet": Path(table["config"]).name.startswith("ssd")}
        return table


class SmallSsdSettings(Settings):
    """SSD on a ResNet-18. It detects on the last three stages (strides 8, 16, 32) and on one extra map."""

    kind: Literal["resnet18"]
    width: Whole = Field(16, ge=1, le=MOST_CHANNELS)
    pixels: Whole = Field(96, ge=64, le=MOST_PIXELS)
    sizes: Annotated[tuple[Size, Size, Size, Size, Size], Rising] = (0.12, 0.28, 0.48, 0.72, 1.0)
    """Side of each level's small square anchors, relative to the image; a level's upper size is the next entry."""
    extra_channels: Whole = Field(64, ge=2, le=MOST_CHANNELS)


class SsdHeadSettings(Settings):
    """SSD's head on the last taps of a trunk, and on coarser maps."""

    levels: Whole = Field(2, ge=1, le=8)
    """How many of the last taps the neck reads."""
    extra_levels: Whole = Field(2, ge=0, le=4)
    """Maps that the neck adds after the coarsest, each of half its side."""
    channels: Whole = Field(128, ge=8, le=MOST_CHANNELS)
    """Of the neck's maps."""
    sizes: Annotated[tuple[Size, ...], Field(min_length=2, max_length=13), Rising] = (0.1, 0.25, 0.45, 0.7, 1.0)
    """As those of `SmallSsdSettings`: one for each level, and one more."""
    ratios: Annotated[
        tuple[Annotated[Number, Field(gt=1, le=10)], ...], Field(min_length=1, max_length=4), Distinct
    ] = (2.0,)
    """Of the sides of anchors that are not square; each is used lying and standing, on all levels."""

    @model_validator(mode="after")
    def _levels_have_sizes(self) -> SsdHeadSettings:
        levels = self.levels + self.extra_levels
        if len(self.sizes) != levels + 1:
            msg = f"{levels} levels need {levels + 1} sizes of anchors; there are {len(self.sizes)}"
            raise ValueError(msg)
        return self


class LibraryDetectorSettings(LibrarySettings, SsdHeadSettings):
    """SSD's head on a trunk of timm or torchvision, which may be frozen."""

    @model_validator(mode="after")
    def _has_no_hidden_layer(self) -> LibraryDetectorSettings:
        if self.hidden:
            msg = "`hidden` is for classifiers; a detector has `channels`"
            raise ValueError(msg)
        return self


class OwnDetectorSettings(OwnModelSettings, SsdHeadSettings):
    """SSD's head on a model from a Python file, which may be frozen; a head of its own is not used."""


TrunkDetectorSettings = LibraryDetectorSettings | OwnDetectorSettings
DetectorSettings = Annotated[
    FullSsdSettings | SmallSsdSettings | LibraryDetectorSettings | OwnDetectorSettings, Field(discriminator="kind")
]
"""The model of a detection protocol."""


class HourglassSettings(Settings):
    """A stacked hourglass. The paper uses two stacks of width 256 at 256 pixels."""

    kind: Literal["hourglass"] = Field("hourglass", exclude_if=lambda kind: kind == "hourglass")
    stacks: Whole = Field(2, ge=1, le=16)
    width: Whole = Field(256, ge=8, le=MOST_CHANNELS, multiple_of=8)
    depth: Whole = Field(4, ge=1, le=10)
    """How many times an hourglass halves the resolution."""
    pixels: Whole = Field(256, ge=32, le=MOST_PIXELS, multiple_of=4)

    @model_validator(mode="after")
    def _map_is_large_enough(self) -> HourglassSettings:
        if self.pixels // 4 < 2**self.depth:
            msg = f"{self.pixels} pixels give a map of {self.pixels // 4}, which cannot be halved {self.depth} times"
            raise ValueError(msg)
        return self


class LibraryPoseSettings(LibrarySettings):
    """Deconvolutions and heatmaps on a trunk of timm or torchvision, which may be frozen (Xiao et al. 2018)."""

    levels: Whole = Field(2, ge=1, le=8)
    """How many of the last taps the deconvolutions read."""
    deconvolutions: Whole = Field(3, ge=0, le=6)
    """How many; each doubles the resolution, and adds the maps of that resolution."""
    width: Whole = Field(64, ge=8, le=MOST_CHANNELS)
    """Their channels; 256 is the original."""

    @model_validator(mode="after")
    def _has_no_hidden_layer(self) -> LibraryPoseSettings:
        if self.hidden:
            msg = "`hidden` is for classifiers; a pose model has `width`"
            raise ValueError(msg)
        return self


class MmposeSettings(Settings):
    """A top-down heatmap model that an mmpose config describes."""

    kind: Literal["mmpose"]
    config: FileName
    """Path of the config, relative to the configs that mmpose ships; with `--trust-config` also of any file, whose code is run."""
    weights: FileName = "none"
    """`none`: random; `hub`: those that the config names for its backbone, downloaded if they are not cached; else the path
    of a checkpoint, .pth or .safetensors, whose last layer is left out where it is of another number of joints."""
    pixels: Whole = Field(256, ge=32, le=MOST_PIXELS)
    """Side of the input; the config's is replaced, and the heatmaps keep their share of it."""
    taps: Annotated[tuple[FileName, ...], Field(min_length=1, max_length=16), Distinct] | None = None
    """Names of the submodules whose outputs are the taps; by default the maps that mmpose's head reads."""


PoseModelSettings = Annotated[
    Annotated[HourglassSettings, Tag("hourglass")]
    | Annotated[LibraryPoseSettings, Tag("timm")]
    | Annotated[LibraryPoseSettings, Tag("torchvision")]
    | Annotated[MmposeSettings, Tag("mmpose")]
    | Annotated[OwnModelSettings, Tag("file")],
    Discriminator(lambda model: _kind_of(model, "hourglass")),
]
"""The model of a pose protocol; a stacked hourglass where no kind is named."""


class ResNetSegmenterSettings(ResNetSettings):
    """An encoder-decoder on a ResNet-18: its stages are added from coarse to fine, as in a feature pyramid."""

    stem: Literal["cifar", "half", "imagenet"] = "half"
    pixels: Whole = Field(96, ge=16, le=MOST_PIXELS)
    levels: Whole = Field(3, ge=1, le=4)
    """How many of the last stages the decoder reads; the finest of them has the resolution of the prediction."""
    channels: Whole = Field(32, ge=1, le=MOST_CHANNELS)
    """Of the decoder's maps."""


class LibrarySegmenterSettings(LibrarySettings):
    """The same decoder on a trunk of timm or torchvision, which may be frozen."""

    levels: Whole = Field(3, ge=1, le=8)
    """How many of the last taps the decoder reads; the finest of them has the resolution of the prediction."""
    channels: Whole = Field(64, ge=1, le=MOST_CHANNELS)
    """Of the decoder's maps."""

    @model_validator(mode="after")
    def _has_no_hidden_layer(self) -> LibrarySegmenterSettings:
        if self.hidden:
            msg = "`hidden` is for classifiers; a segmentation model has `channels`"
            raise ValueError(msg)
        return self


SegmenterSettings = Annotated[
    Annotated[ResNetSegmenterSettings, Tag("resnet18")]
    | Annotated[LibrarySegmenterSettings, Tag("timm")]
    | Annotated[LibrarySegmenterSettings, Tag("torchvision")]
    | Annotated[OwnModelSettings, Tag("file")],
    Discriminator(_kind_of),
]
"""The model of a segmentation protocol; one on ResNet-18 where no kind is named."""
