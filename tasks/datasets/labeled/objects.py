"""Images with boxes that were drawn in an annotation tool."""

from __future__ import annotations

import numpy as np

from tasks.datasets.labeled.folder import LabeledImages, check_size
from tasks.datasets.objects import Objects, inside, say_cut
from tasks.images.decoding import image_size


def labeled_objects(found: LabeledImages) -> tuple[Objects, ...]:
    """The objects of each image; none where nobody labeled it, and then its size is 0: the image is not opened for it.

    Raises:
        DataError: an image cannot be read or has another size than its labels say, or a box lies outside of it or has no area.
    """
    objects, cut = [], 0
    for path, label in zip(found.files, found.labels, strict=True):
        size, boxes = (image_size(path), label.boxes) if label else ((0, 0), ())
        if label and label.size:
            check_size(path, size, label.size)
        corners = np.array([box[1:5] for box in boxes], dtype=np.float64).reshape(-1, 4)
        border = inside(corners, size, str(path))
        cut += border.cut
        labels = np.array([found.class_names.index(box.label) for box in boxes], np.int64)
        objects.append(Objects(border.boxes, labels, np.zeros(len(boxes), bool), *size))
    say_cut(cut)
    return tuple(objects)
