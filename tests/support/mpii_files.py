"""MPII annotation files and their images, written by hand, and tasks made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from tasks.datasets.names import MPII_JOINTS
from tasks.kinds import build_task
from tasks.pose.settings import PoseSettings
from tasks.pose.task import PoseTask

CPU = torch.device("cpu")
MODEL = {"stacks": 2, "width": 8, "pixels": 256, "depth": 1}
RECIPE = {"epochs": 1, "batch": 4, "optimizer": "adamw", "learning_rate": 1e-3}


def person(**changed: Any) -> dict[str, Any]:
    """An entry of an annotation file."""
    joints = [[20.0 + 3 * number, 30.0 + 2 * number] for number in range(len(MPII_JOINTS))]
    return {
        "image": "one.jpg", "center": [50.0, 45.0], "scale": 0.4, "joints": joints, "joints_vis": [1] * len(MPII_JOINTS),
        "head_size": 10.0,
    } | changed  # fmt: skip


def written(root: Path, pool: object, test: object = None) -> PoseSettings:
    """Annotation files, and two black images that they may name."""
    for folder in ("pose/images", "pose/annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("one.jpg", "two.jpg"):
        Image.new("RGB", (100, 90)).save(root / "pose/images" / name)
    for name, entries in (("train", pool), ("val", test if test is not None else [person(image="two.jpg")])):
        text = entries if isinstance(entries, str) else json.dumps(entries)
        (root / f"pose/annotations/mpii_{name}.json").write_text(text)
    given = {"kind": "pose", "data": {"validation": 0}, "model": MODEL | {"pixels": 64}, "recipe": RECIPE}
    return PoseSettings.model_validate(given)


def built(root: Path, settings: PoseSettings) -> PoseTask:
    """The task of these files."""
    return build_task(settings, root, root, CPU)
