"""Images with regions in COCO's form, written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mask_files import save_image

from tasks.segmentation.settings import SegmentationSettings

RECIPE = {"epochs": 1, "batch": 4, "optimizer": "adamw", "learning_rate": 1e-3}
WIDTH, HEIGHT = 8, 6
LEFT, TOP = [0, 0, 4, 0, 4, 6, 0, 6], [0, 0, 8, 0, 8, 2, 0, 2]
"""Polygons of the left half and the upper third."""
ALL: dict[str, Any] = {"size": [HEIGHT, WIDTH], "counts": [0, WIDTH * HEIGHT]}


def region(category: int, segmentation: object, image: int = 1, **changed: Any) -> dict[str, Any]:
    """An entry of `annotations`."""
    return {"id": 7, "image_id": image, "category_id": category, "segmentation": segmentation} | changed


def table(*annotations: dict[str, Any], images: int = 1, **changed: Any) -> dict[str, Any]:
    """A file's content with the categories car and sky."""
    names = [
        {"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT}
        for number in range(1, images + 1)
    ]
    return {
        "images": names, "categories": [{"id": 3, "name": "car"}, {"id": 90, "name": "sky"}],
        "annotations": list(annotations),
    } | changed  # fmt: skip


def written(root: Path, pool: object, test: object = None, **data: Any) -> SegmentationSettings:
    """Two files, and an image of each."""
    for name, content in (("pool", pool), ("test", test or table(region(3, [LEFT]), region(90, [TOP])))):
        (root / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
        save_image(root / name / "1.png", (WIDTH, HEIGHT))
    given = {"layout": "coco", "pool": "pool.json", "pool_images": "pool", "test": "test.json", "test_images": "test"}
    model = {"width": 4, "channels": 8, "pixels": 32}
    settings = {"kind": "segmentation", "data": given | {"validation": 0} | data, "model": model, "recipe": RECIPE}
    return SegmentationSettings.model_validate(settings | {"cells": {"grid": 2}})
