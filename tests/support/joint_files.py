"""Animals with joints in COCO's form, drawn by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tasks.pose.settings import PoseSettings

JOINTS = ("nose", "front_left_paw", "front_right_paw", "tail")
LIMBS = [[1, 2], [1, 3], [1, 4]]
PLACES = ((10, 10), (20, 5), (20, 15), (40, 10))
"""Pixels that show the joints of the first animal."""
BOX = [5.0, 0.0, 40.0, 20.0]
"""Left, top, width and height of the first animal."""
SIZE = (60, 50)
RECIPE = {"epochs": 1, "batch": 16, "optimizer": "adamw", "learning_rate": 1e-3}
MODEL = {"stacks": 2, "width": 8, "pixels": 32, "depth": 1}


def animal(image: int = 1, visible: tuple[int, ...] = (2, 1, 2, 2), moved: int = 0, **changed: Any) -> dict[str, Any]:
    """An entry of `annotations`, moved down by some pixels."""
    keypoints = [
        value
        for (x, y), seen in zip(PLACES, visible, strict=True)
        for value in ((x, y + moved, seen) if seen else (0, 0, 0))
    ]
    box = [BOX[0], BOX[1] + moved, *BOX[2:]]
    entry = {"id": 7, "image_id": image, "category_id": 4, "bbox": box, "keypoints": keypoints}
    return entry | changed


def table(*annotations: dict[str, Any], images: int = 1, **changed: Any) -> dict[str, Any]:
    """A file's content; its other category has no joints."""
    category = {"id": 4, "name": "cat", "keypoints": list(JOINTS), "skeleton": LIMBS}
    names = [
        {"id": number, "file_name": f"{number}.png", "width": SIZE[0], "height": SIZE[1]}
        for number in range(1, images + 1)
    ]
    return {
        "images": names,
        "categories": [{"id": 1, "name": "car"}, category],
        "annotations": list(annotations),
    } | changed


def save_images(folder: Path, content: dict[str, Any]) -> None:
    """Images with a white dot at each joint, on dark grey."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in content["images"]:
        drawn = Image.new("RGB", SIZE, (40, 40, 40))
        pen = ImageDraw.Draw(drawn)
        for entry in content["annotations"]:
            if entry["image_id"] == image["id"]:
                for x, y, _ in np.array(entry.get("keypoints", [])).reshape(-1, 3).tolist():
                    pen.point((x, y), "white")
        drawn.save(folder / image["file_name"])


def written(root: Path, pool: Any, test: Any = None, **changed: Any) -> PoseSettings:
    """Two files and their images."""
    for name, content in (("pool", pool), ("test", test or table(animal()))):
        (root / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
        if isinstance(content, dict):
            save_images(root / name, content)
    files = {"pool": "pool.json", "pool_images": "pool", "test": "test.json", "test_images": "test"}
    data = {"coco": files | changed.pop("files", {}), "validation": 0, "margin": 1.0} | changed.pop("data", {})
    given = {"kind": "pose", "data": data, "model": MODEL, "recipe": RECIPE, "normalized_by": "box"}
    return PoseSettings.model_validate(given | changed)


def many(count: int) -> dict[str, Any]:
    """Animals at different places, one an image."""
    return table(*(animal(number, moved=number % 29, id=number) for number in range(1, count + 1)), images=count)
