"""What lies in the working directory where a guide's commands are run, besides `examples`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from photo_folders import box_of, photograph, photographs

ROOT = Path(__file__).parents[2]
PHOTOS, LABELED, SIDE = 180, 30, 40
CLASSES = ("car", "bus")


def photo_folder(folder: Path) -> None:
    """Photographs, boxes of some of them as an annotation tool exports them, and classes of all."""
    names = photographs(folder / "photos", PHOTOS)
    images = [{"id": n, "file_name": names[n], "width": SIDE, "height": SIDE} for n in range(LABELED)]
    annotations = []
    for number in range(LABELED):
        left, top, right, bottom = (SIDE * place for place in box_of(number))
        box = [left, top, right - left, bottom - top]
        annotations.append({"id": number, "image_id": number, "category_id": number % 2, "bbox": box})
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES)]
    table = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "export.json").write_text(json.dumps(table), encoding="utf-8")
    (folder / "labels.json").write_text(json.dumps([_task(names, n) for n in range(PHOTOS)]), encoding="utf-8")


def _task(names: list[str], number: int) -> dict[str, object]:
    """A task of Label Studio with one choice."""
    value = {"choices": [CLASSES[number % 2]]}
    result = [{"id": "c", "from_name": "choice", "to_name": "image", "type": "choices", "value": value}]
    return {"id": number, "data": {"image": names[number]}, "annotations": [{"id": number, "result": result}]}


def class_folders(folder: Path) -> None:
    """`DIR/birds` with a folder for each class."""
    for number in range(200):
        place = folder / "DIR/birds" / ("robin", "wren")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        photograph(number).save(place / f"{number}.jpg")


def submission(folder: Path) -> None:
    """A strategy's file, and its submission."""
    given = Path("leaderboard/submissions/confidence-ratio")
    shutil.copytree(ROOT / given, folder / given)
    code = (ROOT / given / "strategy.py").read_text(encoding="utf-8").replace("confidence-ratio", "top-two-ratio")
    (folder / "top_two_ratio.py").write_text(code, encoding="utf-8")


FOLDERS: dict[str, Callable[[Path], None]] = {
    "README.md": photo_folder,
    "docs/labeling.md": photo_folder,
    "docs/guides/data.md": class_folders,
    "docs/guides/submit.md": submission,
}
"""What makes them, by page."""
