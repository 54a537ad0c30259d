"""VOC annotations and folders, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from ssd_examples import CPU, RECIPE, SMALL

from tasks.detection.settings import DetectionSettings
from tasks.detection.task import DetectionTask
from tasks.kinds import build_task


def element(name: str = "car", box: tuple[object, ...] = (11, 21, 50, 60), difficult: str = "0") -> str:
    sides = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{sides}</bndbox></object>"


def xml(*elements: str, width: int = 100, height: int = 80) -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation>{size}{''.join(elements)}</annotation>"


def devkit(root: Path, pool: dict[str, str], test: dict[str, str]) -> Path:
    """A VOCdevkit with a square image for every annotation."""
    folder = root / "VOCdevkit/VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for listed, entries in (("trainval", pool), ("test", test)):
        (folder / f"ImageSets/Main/{listed}.txt").write_text("".join(f"{name}\n" for name in entries))
        for name, text in entries.items():
            (folder / f"Annotations/{name}.xml").write_text(text)
            noise = np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"JPEGImages/{name}.jpg")
    return folder


def built(root: Path, **data: Any) -> DetectionTask:
    source = {"validation": 0, "classes": ["cat", "car"]} | data
    given = {"kind": "detection", "data": source, "model": SMALL.model_dump(), "recipe": RECIPE}
    return build_task(DetectionSettings.model_validate(given), root, root, CPU)


POOL = {"a": xml(element()), "b": xml(element("dog")), "c": xml(element(difficult="1")), "d": xml(element("cat"))}


TEST = {"e": xml(element("cat"), element())}
