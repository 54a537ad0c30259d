"""Images whose classes were chosen in an annotation tool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tasks.datasets.classes.classified import ClassifiedImages, check_classes
from tasks.datasets.labeled.folder import LabeledImages, check_several
from tasks.datasets.tools.annotated import AnnotatedImage
from tasks.errors import require
from tasks.images.squares import decoded

UNLABELED = -1
"""Instead of a class index."""


def decode_labeled(found: LabeledImages, side: int, cache: Path, *, keep: bool) -> ClassifiedImages:
    """Decode all images to squares. Those without a class are `UNLABELED`.

    Raises:
        DataError: there is one class alone, or an image has several or cannot be decoded; or, if there are test images, a class is in one of the
            splits alone.
    """
    check_several(found.class_names)
    numbers = {name: number for number, name in enumerate(found.class_names)}
    labels = np.array([_class_of(label, numbers) for label in found.labels])
    test = np.arange(len(labels)) >= found.pool_size
    if test.any():
        check_classes(labels, found.class_names, test)
    pixels = decoded(found.files, side, cache, keep=keep)
    return ClassifiedImages(pixels, labels, found.class_names, found.pool_size, found.fingerprint)


def _class_of(label: AnnotatedImage | None, numbers: Mapping[str, int]) -> int:
    if label is None or not label.choices:
        return UNLABELED
    fault = f"{label.file} has the classes {', '.join(label.choices)}"
    require(len(set(label.choices)) == 1, fault, "an image has one class here; keep one of them")
    return numbers[label.choices[0]]
