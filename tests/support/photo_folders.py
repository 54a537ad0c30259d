"""Folders of small photographs, with what is to be seen in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("disk", "bar")
SMALL_MODEL = """
[task.model]
kind = "resnet18"
width = 8
pixels = 32

[task.recipe]
epochs = 2
batch = 8
optimizer = "adamw"
learning_rate = 1e-3
"""
"""A settings file with a classifier that trains in a second."""

SMALL_DETECTOR = """
[task.model]
kind = "resnet18"
width = 8
pixels = 64

[task.recipe]
epochs = 2
batch = 8
optimizer = "adamw"
learning_rate = 1e-3
"""

SMALL_POSE = """
[task.model]
kind = "hourglass"
stacks = 1
width = 16
depth = 2
pixels = 32

[task.recipe]
epochs = 2
batch = 8
optimizer = "adamw"
learning_rate = 1e-3
"""
SMALL_SEGMENTER = """
[task.model]
kind = "resnet18"
width = 8
channels = 16
pixels = 32

[task.cells]
grid = 4

[task.recipe]
epochs = 2
batch = 8
optimizer = "adamw"
learning_rate = 1e-3
"""


def photograph(number: int, side: int = 40) -> Image.Image:
    """An image with a disk, or with a bar where the number is odd, at a place that the number decides."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    image = np.array(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
    rows, columns = np.mgrid[:side, :side]
    x, y = (side * place for place in center_of(number))
    disk = (rows - y) ** 2 + (columns - x) ** 2 < (0.2 * side) ** 2
    bar = (abs(rows - y) < 0.06 * side) & (abs(columns - x) < 0.3 * side)
    image[bar if number % 2 else disk] = rng.integers(0, 256, 3)
    return Image.fromarray(image)


def center_of(number: int) -> tuple[float, float]:
    """x and y of the object in an image, in [0, 1]."""
    x, y = np.random.default_rng([number, 1]).uniform(0.3, 0.7, 2)
    return float(x), float(y)


def box_of(number: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the object in an image, in [0, 1]."""
    x, y = center_of(number)
    wide, high = (0.3, 0.06) if number % 2 else (0.2, 0.2)
    return x - wide, y - high, x + wide, y + high


def photographs(folder: Path, count: int) -> list[str]:
    """Write images NNN.png, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:03}.png" for number in range(count)]
    for number, name in enumerate(names):
        photograph(number).save(folder / name)
    return names


def label_table(path: Path, names: list[str]) -> Path:
    """A CSV file with the classes of some of these images."""
    rows = [f"{name},{CLASSES[int(name[:3]) % 2]}" for name in names]
    path.write_text("\n".join(["path,label", *rows, ""]), encoding="utf-8")
    return path
