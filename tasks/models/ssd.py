"""SSD, from mmdet's parts: SSD300 on VGG-16 as mmdet ships it, and a small one on ResNet-18."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import mmdet
import torch
from jaxtyping import Float
from mmdet.models.dense_heads import SSDHead
from mmdet.models.necks import SSDNeck
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from tasks.base import DataError, Features, TapModel, require
from tasks.images.pixels import Colors
from tasks.models.resnet import ResNet18Stages
from tasks.models.settings import FullSsdSettings, SmallSsdSettings

SHIPPED = Path(mmdet.__file__).parent / ".mim/configs"


class SsdRaw(NamedTuple):
    """Raw output of SSD, anchors in the order of mmdet's levels."""

    scores: Float[Tensor, "n m k"]
    """Logits over the classes and, last, the background."""
    offsets: Float[Tensor, "n m 4"]
    """Boxes as mmdet's DeltaXYWHBBoxCoder encodes them, relative to the anchors."""


class SsdOutput(nn.Module):
    """mmdet's SSDHead, whose per-level maps are joined to one row per anchor."""

    def __init__(self, head: SSDHead) -> None:
        super().__init__()
        self.ssd = head

    def forward(self, *sources: Tensor) -> SsdRaw:
        """Raw output for the source maps."""
        scores, offsets = self.ssd(sources)
        return SsdRaw(_rows(scores, self.ssd.cls_out_channels), _rows(offsets, 4))


def _rows(maps: list[Tensor], length: int) -> Float[Tensor, "n m _"]:
    return torch.cat([each.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, length)) for each in maps], 1)


class Ssd(TapModel):
    """An SSD whose source maps, after the neck, are both its taps and its features.

    Args:
        backbone: gives the maps that the neck accepts; the last of them is fc7 of VGG-16.
    """

    head: SsdOutput

    def __init__(self, backbone: nn.Module, neck: SSDNeck, head: SSDHead) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, SsdOutput(head)

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The source maps, twice."""
        sources = self.neck(self.backbone(images))
        return sources, sources

    @torch.no_grad()
    def anchors(self, pixels: int) -> Float[Tensor, "m 4"]:
        """Corners of the anchors in an input of that many pixels, in the order of the raw output."""
        was_training = self.training
        self.eval()
        sources, _ = self.trunk(torch.zeros(1, 3, pixels, pixels))
        self.train(was_training)
        return torch.cat(self.head.ssd.prior_generator.grid_priors([each.shape[2:] for each in sources], device="cpu"))


class LastStages(nn.Module):
    """The last three stages of a ResNet-18."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stages = ResNet18Stages(width, stem="imagenet")

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of stride 8, 16 and 32."""
        return self.stages(images)[1:]


def build_ssd(settings: FullSsdSettings | SmallSsdSettings, classes: int) -> Ssd:
    """An SSD for that many classes, drawn from torch's global generator."""
    init_default_scope("mmdet")
    model = _full(settings, classes) if settings.kind == "mmdet" else _small(settings, classes)
    model.head.ssd.loss_cls = None  # SSDHead never sets it, and its predict reads it
    return model


def input_colors(settings: FullSsdSettings | SmallSsdSettings) -> Colors:
    """How the model sees colors: as its mmdet config says. VGG-16's weights of SSD want the mean taken off, and no more."""
    if settings.kind == "resnet18":
        return Colors()
    given = _parts(settings).data_preprocessor
    require(given.bgr_to_rgb, f"{settings.config}: its model reads BGR, and images here are RGB")
    mean, std = ((float(red), float(green), float(blue)) for red, green, blue in (given.mean, given.std))
    return Colors(mean, std, fill=mean)


def _parts(settings: FullSsdSettings) -> Any:  # mmengine types none of its configs
    path = Path(settings.config) if Path(settings.config).is_file() else SHIPPED / settings.config
    require(path.is_file(), f"no mmdet config {settings.config!r}: neither a file nor below {SHIPPED}")
    parts = Config.fromfile(path).model
    require(
        parts.bbox_head.type == "SSDHead", f"{path}: its head is {parts.bbox_head.type}, and only SSDHead fits here"
    )
    return parts


def _full(settings: FullSsdSettings, classes: int) -> Ssd:
    parts = _parts(settings)
    parts.backbone.init_cfg = None
    parts.bbox_head.update(num_classes=classes, train_cfg=parts.train_cfg, test_cfg=parts.test_cfg)
    for part in (parts.backbone, parts.neck, parts.bbox_head):
        part["_scope_"] = "mmdet"
    backbone, neck, head = (MODELS.build(part) for part in (parts.backbone, parts.neck, parts.bbox_head))
    for part in (backbone, neck, head):
        part.init_weights()
    if settings.imagenet:
        _load_vgg16(backbone)
    return Ssd(backbone, neck, head)


def _load_vgg16(backbone: nn.Module) -> None:
    """Copy torchvision's convolutions of VGG-16 into mmdet's, layer by layer; the layers after them start anew."""
    from torchvision.models import VGG16_Weights, vgg16  # noqa: PLC0415 - only this start needs it

    try:
        source = vgg16(weights=VGG16_Weights.IMAGENET1K_FEATURES)
    except OSError as error:
        msg = f"ImageNet weights of VGG-16 are neither cached by torchvision nor within reach ({error}); set imagenet = false"
        raise DataError(msg) from None
    given = [each for each in source.features.modules() if isinstance(each, nn.Conv2d)]
    wanted = [each for each in backbone.modules() if isinstance(each, nn.Conv2d)]
    for ours, theirs in zip(wanted, given, strict=False):
        ours.load_state_dict(theirs.state_dict())


def _small(settings: SmallSsdSettings, classes: int) -> Ssd:
    width, extra = settings.width, settings.extra_channels
    last_side = math.ceil(math.ceil(settings.pixels / 32) / 2)
    inward = (2 * width, 4 * width, 8 * width)
    neck = SSDNeck(inward, (*inward, extra), level_strides=(2,), level_paddings=(1,), l2_norm_scale=0)
    head = SSDHead(
        num_classes=classes,
        in_channels=(*inward, extra),
        anchor_generator={
            "type": "SSDAnchorGenerator",
            "scale_major": False,
            "strides": [8, 16, 32, settings.pixels // last_side],
            "ratios": [[2], [2, 3], [2, 3], [2]],
            "min_sizes": [size * settings.pixels for size in settings.sizes[:-1]],
            "max_sizes": [size * settings.pixels for size in settings.sizes[1:]],
        },
        bbox_coder={"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": [0.1, 0.1, 0.2, 0.2]},
        test_cfg=ConfigDict({"nms": {"type": "nms", "iou_threshold": 0.45}, "score_thr": 0.02, "max_per_img": 200}),
    )
    for part in (neck, head):
        part.init_weights()
    return Ssd(LastStages(width), neck, head)
