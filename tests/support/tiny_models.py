"""Tiny tasks with models of libraries, frozen trunks and a user's own module."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lossbench.config import Protocol
from lossbench.submissions.conformance import tiny_protocol
from tasks.base import Task
from tasks.kinds import build_task
from tasks.models.outside import load_model_file

OWN = (Path(__file__).parents[2] / "examples/own_model.py").read_text(encoding="utf-8")
MODELS: Mapping[str, Mapping[str, Any]] = {
    "timm ResNet": {"kind": "timm", "name": "test_resnet", "pixels": 32},
    "timm ViT": {"kind": "timm", "name": "test_vit", "pixels": 32},
    "torchvision": {"kind": "torchvision", "name": "mobilenet_v3_small", "pixels": 32},
    "frozen": {"kind": "timm", "name": "test_resnet", "pixels": 32, "freeze": True},
    "frozen, hidden layer": {
        "kind": "timm", "name": "test_vit", "pixels": 32, "freeze": True, "mirrored": True, "hidden": 16
    },
    "own": {"kind": "file", "name": "two-stages", "pixels": 32},
    "own, frozen": {"kind": "file", "name": "two-stages", "pixels": 32, "freeze": True},
}  # fmt: skip
"""The `task.model` tables, by what they show."""
HRNET = Path(__file__).with_name("tiny_hrnet.py")
POSE_MODELS: Mapping[str, Mapping[str, Any]] = {
    "frozen": {
        "kind": "timm", "name": "test_resnet", "pixels": 32, "freeze": True, "mirrored": True, "width": 8,
        "deconvolutions": 3,
    },
    "timm ViT": {"kind": "timm", "name": "test_vit", "pixels": 32, "width": 8, "deconvolutions": 2},
    "HRNet": {"kind": "mmpose", "config": str(HRNET), "pixels": 32},
    "own": {"kind": "file", "name": "two-stages-pose", "pixels": 32},
    "own, frozen": {"kind": "file", "name": "two-stages-pose", "pixels": 32, "freeze": True, "mirrored": True},
}  # fmt: skip
"""The `task.model` tables of pose protocols."""

SEGMENTATION_MODELS: Mapping[str, Mapping[str, Any]] = {
    "frozen": {
        "kind": "timm", "name": "test_resnet", "pixels": 32, "freeze": True, "mirrored": True, "channels": 8, "levels": 3
    },
    "timm ViT": {"kind": "timm", "name": "test_vit", "pixels": 64, "channels": 8, "levels": 2},
    "torchvision": {"kind": "torchvision", "name": "mobilenet_v3_small", "pixels": 64, "channels": 8, "levels": 3},
    "own": {"kind": "file", "name": "two-stages-segmentation", "pixels": 32},
    "own, frozen": {"kind": "file", "name": "two-stages-segmentation", "pixels": 32, "freeze": True, "mirrored": True},
}  # fmt: skip
"""The `task.model` tables of segmentation protocols."""


LAST_STEPS = {
    "classification": ("first, second, pooled, nn.Linear(16, outputs)", ', head="3"'),
    "segmentation": ("first, second, nn.Conv2d(16, outputs, 1)", ', head="2"'),
    "pose": ("first, second, nn.Sequential(nn.Conv2d(16, outputs, 1), nn.Unflatten(1, (1, outputs)))", ', head="2"'),
    "detection": ("first, second", ""),
}
"""Of the user's own model: its parts, and how its head is named."""
OWN_NAMES = {kind: "two-stages" if kind == "classification" else f"two-stages-{kind}" for kind in LAST_STEPS}


def own_source(kind: str) -> str:
    """The file of a user's own model for a kind of task: the example's, with another last step."""
    network, head = LAST_STEPS[kind]
    changes = {
        "first, second, pooled, nn.Linear(16, outputs)": network,
        ', head="3"': head,
        '"two-stages"': f'"{OWN_NAMES[kind]}"',
    }
    source = OWN
    for old, new in changes.items():
        source = source.replace(old, new)
    return source


def own_model_file(folder: Path, kind: str = "classification") -> Path:
    """Write the file of the user's own model."""
    path = folder / f"{OWN_NAMES[kind].replace('-', '_')}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(own_source(kind), encoding="utf-8")
    return path


def protocol_with(model: Mapping[str, Any], kind: str = "classification", **recipe: object) -> Protocol:
    """The tiny protocol of a kind with another model."""
    table = tiny_protocol(kind, **recipe).model_dump(mode="json")
    table["task"]["model"] = dict(model)
    return Protocol.model_validate(table)


def built_with(model: Mapping[str, Any], cache: Path, kind: str = "classification") -> Task[Any, Any]:
    """The tiny task of a kind with another model."""
    if model["kind"] == "file":
        load_model_file(own_model_file(cache / "own", kind))
    return build_task(protocol_with(model, kind).task, cache, cache, torch.device("cpu"))
