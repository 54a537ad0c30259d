"""The same three images with objects in VOC's, COCO's and YOLO's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

NAMES = ("car", "bus")
BOXES: dict[str, list[tuple[str, tuple[int, int, int, int]]]] = {
    "a": [("car", (2, 3, 12, 13)), ("bus", (0, 0, 20, 10))],
    "b": [("bus", (5, 5, 40, 30))],
    "c": [],
}
"""Left, top, right, bottom: borders of pixels that count from 0, in images of 40 x 30."""
SIZE = (40, 30)


def draw(folder: Path, names: str = "abc") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", SIZE).save(folder / f"{name}.jpg")


def coco(**changed: Any) -> dict[str, Any]:
    """The same objects in COCO's form; the ids of categories have gaps."""
    boxes = [(name, label, box) for name, objects in BOXES.items() for label, box in objects]
    table = {
        "images": [
            {"id": number, "file_name": f"{name}.jpg", "width": SIZE[0], "height": SIZE[1]}
            for number, name in enumerate(BOXES, 5)
        ],
        "categories": [{"id": 3, "name": "car", "supercategory": "vehicle"}, {"id": 90, "name": "bus"}],
        "annotations": [
            {
                "id": number, "image_id": 5 + list(BOXES).index(name), "category_id": {"car": 3, "bus": 90}[label],
                "bbox": [left, top, right - left, bottom - top], "iscrowd": 0, "segmentation": [[1, 2, 3, 4, 5, 6]],
            }
            for number, (name, label, (left, top, right, bottom)) in enumerate(boxes)
        ],
    }  # fmt: skip
    return table | changed


def write_coco(folder: Path, table: object | None = None) -> Path:
    draw(folder / "photos")
    (folder / "coco.json").write_text(json.dumps(coco() if table is None else table))
    return folder / "coco.json"


def write_yolo(folder: Path, yaml: str = "names: [car, bus]\ntrain: images/train\nval: images/val\n") -> Path:
    for split in ("train", "val"):
        draw(folder / "images" / split)
        for name, objects in BOXES.items():
            lines = [
                f"{NAMES.index(label)} {(left + right) / 80} {(top + bottom) / 60} {(right - left) / 40} {(bottom - top) / 30}"
                for label, (left, top, right, bottom) in objects
            ]
            if lines:
                text = folder / "labels" / split / f"{name}.txt"
                text.parent.mkdir(parents=True, exist_ok=True)
                text.write_text("\n".join(lines) + "\n")
    (folder / "own.yaml").write_text(yaml)
    return folder / "own.yaml"


def write_voc(folder: Path) -> Path:
    root = folder / "VOCdevkit/VOC2007"
    draw(root / "JPEGImages")
    for place in ("Annotations", "ImageSets/Main"):
        (root / place).mkdir(parents=True)
    (root / "ImageSets/Main/all.txt").write_text("a\nb\nc\n")
    for name, objects in BOXES.items():
        inside = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{box[0] + 1}</xmin><ymin>{box[1] + 1}</ymin><xmax>{box[2]}</xmax>"
            f"<ymax>{box[3]}</ymax></bndbox></object>"
            for label, box in objects
        )
        size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></size>"
        (root / f"Annotations/{name}.xml").write_text(f"<annotation>{size}{inside}</annotation>")
    return folder / "VOCdevkit"
