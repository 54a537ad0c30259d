"""Folders of images and masks, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tasks.segmentation.settings import SegmentationSettings

RECIPE = {"epochs": 1, "batch": 4, "optimizer": "adamw", "learning_rate": 1e-3}


def save_image(path: Path, size: tuple[int, int] = (8, 6)) -> None:
    """A black image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def save_mask(path: Path, numbers: Any) -> None:
    """A grey PNG with these numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(numbers, np.uint8)).save(path)


def written(root: Path, **data: Any) -> SegmentationSettings:
    """Two pool images and a test image with masks of two classes, of number 0 and 1, and void ones of number 9."""
    mask = np.zeros((6, 8), int)
    mask[:, 4:] = 1
    mask[5] = 9
    for folder, names in (("a", ("one", "two")), ("b", ("three",))):
        for name in names:
            save_image(root / folder / f"{name}.jpg")
            save_mask(root / f"{folder}-masks" / f"{name}.png", mask)
    given = {"pool": [{"images": "a", "masks": "a-masks"}], "test": [{"images": "b", "masks": "b-masks"}]}
    given |= {"classes": ["left", "right"], "void": [9], "validation": 0}
    model = {"width": 4, "channels": 8, "pixels": 32}
    table = {"kind": "segmentation", "data": given | data, "model": model, "recipe": RECIPE, "cells": {"grid": 2}}
    return SegmentationSettings.model_validate(table)
