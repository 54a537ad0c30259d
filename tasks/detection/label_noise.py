"""Simulated annotation errors of objects."""

from __future__ import annotations

import numpy as np

from tasks.datasets.objects import Objects

SHIFT = 0.2
"""Standard deviation of the displacement of a box's border, relative to the side of the box."""
SMALLEST_SIDE = 0.01
"""Of a displaced box, relative to the side of the image."""
ERRORS = ("missed", "other class", "displaced")


def mislabeled(objects: Objects, share: float, classes: int, rng: np.random.Generator) -> Objects:
    """The objects with an expected share missed, of another class, or displaced, each a third; difficult ones are kept.

    If there is only one class, objects that should get another class are missed instead.
    """
    count = len(objects.labels)
    wrong = (rng.random(count) < share) & ~objects.difficult
    errors = np.array(ERRORS)[rng.integers(0, len(ERRORS), count)]
    shifts, class_shifts = rng.normal(0, SHIFT, (count, 4)), rng.integers(1, max(classes, 2), count)
    sides = np.tile(objects.boxes[:, 2:] - objects.boxes[:, :2], 2)
    displaced = wrong & (errors == "displaced")
    boxes = np.where(displaced[:, None], _valid(objects.boxes + shifts * sides), objects.boxes)
    other_class = wrong & (errors == "other class")
    labels = np.where(other_class, (objects.labels + class_shifts) % classes, objects.labels)
    kept = ~(wrong & (errors == "missed")) & ~(other_class & (classes == 1))
    return objects._replace(
        boxes=boxes[kept].astype(np.float32), labels=labels[kept], difficult=objects.difficult[kept]
    )


def _valid(boxes: np.ndarray) -> np.ndarray:
    """Boxes (b 4) clipped to the image, with left < right and top < bottom, and no side shorter than the smallest."""
    low = np.minimum(boxes[:, :2], boxes[:, 2:]).clip(0, 1 - SMALLEST_SIDE)
    high = np.maximum(boxes[:, :2], boxes[:, 2:]).clip(0, 1)
    return np.concatenate([low, np.maximum(high, low + SMALLEST_SIDE)], 1)
