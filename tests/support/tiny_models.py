"""Tiny classification tasks with models of libraries, frozen trunks and a user's own module."""

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
}  # fmt: skip
"""The `task.model` tables, by what they show."""


def own_model_file(folder: Path) -> Path:
    """Write the file of the user's own model."""
    path = folder / "two_stages.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(OWN, encoding="utf-8")
    return path


def protocol_with(model: Mapping[str, Any], **recipe: object) -> Protocol:
    """The tiny protocol of classification with another model."""
    table = tiny_protocol("classification", **recipe).model_dump(mode="json")
    table["task"]["model"] = dict(model)
    return Protocol.model_validate(table)


def built_with(model: Mapping[str, Any], cache: Path) -> Task[Any, Any]:
    """The tiny classification task with another model."""
    if model["kind"] == "file":
        load_model_file(own_model_file(cache / "own"))
    return build_task(protocol_with(model).task, cache, cache, torch.device("cpu"))
