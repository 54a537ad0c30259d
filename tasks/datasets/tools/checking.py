"""What is checked of every export, whatever tool wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tasks.datasets.objects import check_names, inside, say_cut
from tasks.datasets.tools.annotated import AnnotatedImage, Annotations
from tasks.datasets.tools.shapes import checked_points
from tasks.errors import require


def checked(
    path: Path, images: Iterable[AnnotatedImage], class_names: Sequence[str] = (), skipped: Iterable[str] = ()
) -> Annotations:
    """The content of an export, with boxes cut, and points moved to the border, that reach up to a pixel beyond their image.

    Args:
        path: of the export.
        images: as its file gives them.
        class_names: the classes or joints that it lists.
        skipped: the images without a finished annotation.

    Raises:
        DataError: an image is there twice, class names differ in case or white space alone, or a box or point is not finite,
            lies outside its image, or has no area. Of an image without a size the last is checked alone.
    """
    seen: set[str] = set()
    found, labels, cut = [], set(class_names), 0
    for image in images:
        where = f"{path}, {image.file}"
        require(
            image.file not in seen,
            f"{where}: the image is there twice",
            "remove one of the two, or give it another name",
        )
        seen.add(image.file)
        kept, beyond = _in_image(image, where)
        found.append(kept)
        cut += beyond
        labels.update(image.choices, (each.label for each in (*image.boxes, *image.points, *image.regions)))
    if labels:
        check_names(sorted(labels), str(path))
    say_cut(cut, str(path))
    return Annotations(tuple(found), tuple(class_names), tuple(skipped))


def _in_image(image: AnnotatedImage, where: str) -> tuple[AnnotatedImage, int]:
    """The image with its boxes cut and its points moved onto it where they lie beyond it, by a pixel at most, and how many were cut."""
    checked_points(np.array([(each.x, each.y) for each in image.points], np.float64).reshape(-1, 2), image.size, where)
    corners = np.array([(each.left, each.top, each.right, each.bottom) for each in image.boxes]).reshape(-1, 4)
    if image.size is None:
        for box in corners:
            text = ", ".join(f"{value:g}" for value in box)
            good = np.isfinite(box).all() and (box[2:] > box[:2]).all()
            require(good, f"{where}: the box from ({text}) has no area", "correct or remove it")
        return image, 0
    width, height = image.size
    points = (each._replace(x=min(max(each.x, 0), width), y=min(max(each.y, 0), height)) for each in image.points)
    image = image._replace(points=tuple(points))
    border = inside(corners, (width, height), where)
    if (border.corners == corners).all():
        return image, 0
    boxes = (
        box._replace(left=left, top=top, right=right, bottom=bottom)
        for box, (left, top, right, bottom) in zip(image.boxes, border.corners.tolist(), strict=True)
    )
    return image._replace(boxes=tuple(boxes)), border.cut
