"""SSD, built from mmdet's modules: SSD300 on VGG-16 as mmdet ships it, and a small SSD on ResNet-18."""

from __future__ import annotations

import math
from typing import NamedTuple

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import torch
from jaxtyping import Float
from mmdet.models.dense_heads import SSDHead
from mmdet.models.necks import SSDNeck
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from tasks.base import Features, TapModel
from tasks.errors import DataError, require
from tasks.models.openmmlab.detector_config import config_file, model_config, reads_bgr, without_download
from tasks.models.openmmlab.detector_weights import load_detector, weights_file
from tasks.models.resnet import ResNet18Stages
from tasks.models.settings import FullSsdSettings, SmallSsdSettings
from tasks.outside.errors import blaming_config


class SsdRaw(NamedTuple):
    """The raw output of SSD: one row per anchor, in the order of mmdet's levels."""

    scores: Float[Tensor, "n m k"]
    """Logits of the classes and, last, of the background."""
    offsets: Float[Tensor, "n m 4"]
    """Boxes as mmdet's DeltaXYWHBBoxCoder encodes them, relative to the anchors."""


class SsdOutput(nn.Module):
    """mmdet's SSDHead. Its maps of all levels are concatenated to one row per anchor."""

    def __init__(self, head: SSDHead) -> None:
        super().__init__()
        self.ssd = head

    def forward(self, *levels: Tensor) -> SsdRaw:
        """The raw output for the feature maps of all levels."""
        scores, offsets = self.ssd(levels)
        return SsdRaw(_rows(scores, self.ssd.cls_out_channels), _rows(offsets, 4))


def _rows(levels: list[Tensor], length: int) -> Float[Tensor, "n m _"]:
    """Maps (n, anchors * length, h, w) of all levels as rows of `length` numbers."""
    return torch.cat([maps.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, length)) for maps in levels], 1)


class Ssd(TapModel):
    """An SSD. The feature maps on which it detects, after the neck, are both its taps and its features.

    Args:
        backbone: returns the maps that the neck accepts; in VGG-16 the last of them is fc7.
        neck: adds extra maps of lower resolution.
        head: predicts classes and boxes from all maps.
        bgr: whether the backbone reads blue first.
    """

    head: SsdOutput

    def __init__(self, backbone: nn.Module, neck: SSDNeck, head: SSDHead, *, bgr: bool = False) -> None:
        super().__init__()
        self._bgr = bgr
        self.backbone, self.neck, self.head = backbone, neck, SsdOutput(head)
        self.embedded_tap = -len(neck.extra_layers) - 1
        """The tap that is the backbone's last map (fc7 of VGG-16)."""

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The feature maps of all levels, as taps and as features."""
        maps = self.neck(self.backbone(images.flip(1) if self._bgr else images))
        return maps, maps

    @torch.no_grad()
    def anchors(self, pixels: int) -> Float[Tensor, "m 4"]:
        """The corners of all anchors in an input with sides of `pixels`, in the order of the raw output."""
        was_training = self.training
        self.eval()
        levels, _ = self.trunk(torch.zeros(1, 3, pixels, pixels))
        self.train(was_training)
        return torch.cat(self.head.ssd.prior_generator.grid_priors([maps.shape[2:] for maps in levels], device="cpu"))


class LastStages(nn.Module):
    """The last three stages of a ResNet-18."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stages = ResNet18Stages(width, stem="imagenet")

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of stride 8, 16 and 32."""
        return self.stages(images)[1:]


def build_ssd(settings: FullSsdSettings | SmallSsdSettings, classes: int) -> Ssd:
    """An SSD for this number of classes, initialized by torch's global generator."""
    init_default_scope("mmdet")
    model = _full(settings, classes) if settings.kind == "mmdet" else _small(settings, classes)
    model.head.ssd.loss_cls = None  # SSDHead never sets this, but its predict reads it
    return model


def _full(settings: FullSsdSettings, classes: int) -> Ssd:
    config = model_config(settings)
    type_ = config.bbox_head.type
    require(type_ == "SSDHead", f"{settings.config}: its head is {type_}; only SSDHead fits here")
    with blaming_config(config_file(settings)):
        is_vgg = config.backbone.type == "SSDVGG"
        if is_vgg or not settings.imagenet:
            without_download(config.backbone)
        config.bbox_head.update(num_classes=classes, train_cfg=config.train_cfg, test_cfg=config.test_cfg)
        tables = (config.backbone, config.neck, config.bbox_head)
        for table in tables:
            table["_scope_"] = "mmdet"
        backbone, neck, head = (MODELS.build(table) for table in tables)
        for module in (backbone, neck, head):
            module.init_weights()
        model = Ssd(backbone, neck, head, bgr=reads_bgr(config)).eval()
        with torch.no_grad():
            model(torch.zeros(1, 3, settings.pixels, settings.pixels))  # neck and head of other channels end here
    if settings.imagenet and is_vgg:
        _load_vgg16(backbone)
    if file := weights_file(settings):
        load_detector(file, backbone, neck, head)
    return model.train()


def _load_vgg16(backbone: nn.Module) -> None:
    """Copy torchvision's weights of VGG-16's convolutions into mmdet's, layer by layer. Later layers keep their random weights."""
    from torchvision.models import VGG16_Weights, vgg16  # noqa: PLC0415 - needed here only

    try:
        source = vgg16(weights=VGG16_Weights.IMAGENET1K_FEATURES)
    except OSError as error:
        msg = f"ImageNet weights of VGG-16 are not cached and could not be downloaded ({error}); set imagenet = false"
        raise DataError(msg) from None
    pretrained = [module for module in source.features.modules() if isinstance(module, nn.Conv2d)]
    convolutions = [module for module in backbone.modules() if isinstance(module, nn.Conv2d)]
    for convolution, weights in zip(convolutions, pretrained, strict=False):
        convolution.load_state_dict(weights.state_dict())


def _small(settings: SmallSsdSettings, classes: int) -> Ssd:
    width, extra = settings.width, settings.extra_channels
    last_side = math.ceil(math.ceil(settings.pixels / 32) / 2)
    channels = (2 * width, 4 * width, 8 * width)
    neck = SSDNeck(channels, (*channels, extra), level_strides=(2,), level_paddings=(1,), l2_norm_scale=0)
    head = SSDHead(
        num_classes=classes,
        in_channels=(*channels, extra),
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
    for module in (neck, head):
        module.init_weights()
    return Ssd(LastStages(width), neck, head)
