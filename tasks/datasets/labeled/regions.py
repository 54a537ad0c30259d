"""Images with regions that were painted or outlined in an annotation tool."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from tasks.datasets.labeled.folder import LabeledImages, check_several, check_size
from tasks.datasets.masks import VOID, shrunk
from tasks.datasets.names import BACKGROUND
from tasks.datasets.tools.shapes import decoded
from tasks.images.decoding import image_size


def labeled_maps(found: LabeledImages, places: slice, side: int) -> UInt8[np.ndarray, "n s s"]:
    """The label maps of some images, scaled to squares; all void where nobody labeled one. Later regions are in front.

    Args:
        found: the images.
        places: of those that are wanted.
        side: of the squares, in pixels.

    Raises:
        DataError: there is one class alone, an image cannot be read, or a region is of an image of another size.
    """
    check_several(found.class_names)
    return shrunk(_maps(found, places), len(found.files[places]), side)


def _maps(found: LabeledImages, places: slice) -> Iterator[UInt8[np.ndarray, "h w"]]:
    names = found.class_names
    uncovered = names.index(BACKGROUND) if BACKGROUND in names else VOID
    for path, label in zip(found.files[places], found.labels[places], strict=True):
        regions = label.regions if label else ()
        if not regions:
            yield np.full((1, 1), VOID, np.uint8)
            continue
        width, height = image_size(path)
        labels = np.full((height, width), uncovered, np.uint8)
        for region in regions:
            check_size(path, (width, height), tuple(region.mask["size"][::-1]))
            labels[decoded(region.mask)] = names.index(region.label)
        yield labels
