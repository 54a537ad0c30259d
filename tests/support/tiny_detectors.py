"""Tiny detection tasks with detectors of mmdet's configs, and with trunks of libraries, frozen or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tiny_models import own_model_file

from lossbench.config import Protocol
from lossbench.submissions.conformance import tiny_protocol
from tasks.base import Task
from tasks.kinds import build_task
from tasks.models.openmmlab.detector_config import SHIPPED
from tasks.models.outside import load_model_file

SMALLER = """
    backbone=dict(depth=18, base_channels=8, stem_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=64),
    bbox_head=dict(in_channels=64, feat_channels=64, stacked_convs=1))
"""
CONFIGS: Mapping[str, str] = {
    name: f"_base_ = {str(SHIPPED / base)!r}\nmodel = dict({SMALLER}"
    for name, base in {
        "retinanet": "retinanet/retinanet_r18_fpn_1x_coco.py",
        "fcos": "fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    }.items()
}
"""Configs of detectors of a few thousand weights, by name."""
MODELS: Mapping[str, Mapping[str, Any]] = {
    "RetinaNet": {"kind": "mmdet", "config": "retinanet", "pixels": 64},
    "frozen": {
        "kind": "timm", "name": "test_resnet", "pixels": 64, "freeze": True, "mirrored": True, "channels": 16
    },
    "torchvision": {
        "kind": "torchvision", "name": "mobilenet_v3_small", "pixels": 64, "channels": 16, "extra_levels": 1,
        "sizes": [0.2, 0.4, 0.7, 1.0],
    },
    "own": {"kind": "file", "name": "two-stages-detection", "pixels": 32, "channels": 16},
    "own, frozen": {
        "kind": "file", "name": "two-stages-detection", "pixels": 32, "channels": 16, "freeze": True, "mirrored": True
    },
}  # fmt: skip
"""The `task.model` tables, by what they show; `config` is a name of `CONFIGS`."""


def config_in(folder: Path, name: str) -> str:
    """Write a tiny config, which is loaded where configs are trusted alone, and return its path."""
    path = folder / f"tiny-{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CONFIGS[name], encoding="utf-8")
    return str(path)


def protocol_with(model: Mapping[str, Any]) -> Protocol:
    """The tiny protocol of detection with another model."""
    table = tiny_protocol("detection").model_dump(mode="json")
    table["task"]["model"] = dict(model)
    return Protocol.model_validate(table)


def built_with(model: Mapping[str, Any], cache: Path) -> Task[Any, Any]:
    """The tiny detection task with another model."""
    if model.get("config") in CONFIGS:
        model = {**model, "config": config_in(cache / "configs", model["config"])}
    if model["kind"] == "file":
        load_model_file(own_model_file(cache / "own", "detection"))
    return build_task(protocol_with(model).task, cache, cache, torch.device("cpu"))
