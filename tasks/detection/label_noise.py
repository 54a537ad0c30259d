"""How annotators of objects err."""

from __future__ import annotations

import numpy as np

from tasks.datasets.voc import Objects

SHIFT, LEAST = 0.2, 0.01
"""Standard deviation of a displaced corner over the box's side; the least side of a box over the image's."""
KINDS = ("missed", "other class", "displaced")


def mislabeled(objects: Objects, share: float, classes: int, rng: np.random.Generator) -> Objects:
    """The objects with a share of them missed, of another class, or displaced; difficult ones stay as they are.

    Where there is one class only, what would be of another class is missed.
    """
    count = len(objects.labels)
    wrong = (rng.random(count) < share) & ~objects.difficult
    kinds = np.array(KINDS)[rng.integers(0, len(KINDS), count)]
    shifts, other = rng.normal(0, SHIFT, (count, 4)), rng.integers(1, max(classes, 2), count)
    sides = np.tile(objects.boxes[:, 2:] - objects.boxes[:, :2], 2)
    boxes = np.where((wrong & (kinds == "displaced"))[:, None], _valid(objects.boxes + shifts * sides), objects.boxes)
    flipped = wrong & (kinds == "other class")
    labels = np.where(flipped, (objects.labels + other) % classes, objects.labels)
    kept = ~(wrong & (kinds == "missed")) & ~(flipped & (classes == 1))
    return objects._replace(
        boxes=boxes[kept].astype(np.float32), labels=labels[kept], difficult=objects.difficult[kept]
    )


def _valid(boxes: np.ndarray) -> np.ndarray:
    """Boxes (b 4) inside the image, no side shorter than the least."""
    low = np.minimum(boxes[:, :2], boxes[:, 2:]).clip(0, 1 - LEAST)
    return np.concatenate([low, np.maximum(np.maximum(boxes[:, :2], boxes[:, 2:]).clip(0, 1), low + LEAST)], 1)
