"""mmdet's configs, the colors that their models read, and the detectors that they describe."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import mmdet
from mmengine.config import Config

from tasks.errors import require
from tasks.images.pixels import Colors
from tasks.models.settings import FullSsdSettings, SmallSsdSettings
from tasks.models.trust import trusted_config
from tasks.outside.errors import blaming_config

SHIPPED = Path(mmdet.__file__).parent / ".mim/configs"
"""The configs that mmdet ships."""
GRAY = (114.0, 114.0, 114.0)
"""With which YOLOX and RTMDet pad."""


def config_file(settings: FullSsdSettings) -> Path:
    """The file of a model's mmdet config. It is Python code, and loading it runs that code.

    Raises:
        DataError: there is no such file, or it lies elsewhere than in mmdet and such configs are not trusted.
    """
    return trusted_config(settings.config, SHIPPED, "mmdet")


def model_config(settings: FullSsdSettings) -> Any:  # mmengine's configs are not typed
    """The `model` table of a config.

    Raises:
        DataError: as `config_file`; the config cannot be read, or describes no single-stage detector.
    """
    path = config_file(settings)
    with blaming_config(path):
        config = Config.fromfile(path).get("model")
        require(config, f"{path}: this config defines no model")
        _check_single_stage(config, path)
        return config


def _check_single_stage(config: Any, path: Path) -> None:
    two_stages = (
        "its second stage is trained on boxes that the first proposes, so that an image has no loss of fixed rows"
    )
    require(
        not config.get("roi_head") and not config.get("rpn_head"),
        f"{path}: {config.type} is a two-stage detector; {two_stages}; use a single-stage one, such as RetinaNet",
    )
    require(not config.get("mask_head"), f"{path}: {config.type} segments instances; only detectors of boxes fit here")
    head = config.get("bbox_head")
    require(
        isinstance(head, dict) and "type" in head,
        f"{path}: {config.type} has no bbox_head; it is no single-stage detector",
    )


def without_download(backbone: Any) -> None:
    """Remove the weights that a backbone's table starts from, if it names any."""
    if "checkpoint" in (backbone.get("init_cfg") or {}):
        backbone.init_cfg = None


def trained_whole(backbone: Any) -> None:
    """Train all layers of a backbone that starts from random weights; configs freeze the first of a pretrained one."""
    none = 0 if backbone.type == "EfficientNet" else -1  # whose count begins with the stem
    for name, value in (("frozen_stages", none), ("norm_eval", False)):
        if name in backbone:
            backbone[name] = value
    if "requires_grad" in (backbone.get("norm_cfg") or {}):
        backbone.norm_cfg.requires_grad = True


def reads_bgr(config: Any) -> bool:
    """Whether a config's model reads blue first. mmdet loads images so, and turns them where the config says it."""
    return not (config.get("data_preprocessor") or {}).get("bgr_to_rgb", False)


def input_colors(settings: FullSsdSettings | SmallSsdSettings) -> Colors:
    """The normalization of a model's input, in RGB, from its config; of a model without one, colors in 0..255.

    SSD's weights of VGG-16 expect std 1: only the mean is subtracted.
    """
    if settings.kind == "resnet18":
        return Colors()
    config, path = model_config(settings), config_file(settings)
    table = config.get("data_preprocessor") or {}
    if table.get("mean") is None:
        return Colors((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), GRAY)
    order = slice(None, None, -1) if reads_bgr(config) else slice(None)
    with blaming_config(path):
        mean, std = (
            (float(red), float(green), float(blue)) for red, green, blue in (table["mean"][order], table["std"][order])
        )
        fits = all(map(math.isfinite, (*mean, *std))) and min(std) > 0
        require(fits, f"{path}: mean {mean} and std {std} have to be finite, and std above 0")
    return Colors(mean, std, fill=mean)
