"""Labels of a few images, as all tools hold them, and what reading must give again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tasks.datasets.tools.annotated import AnnotatedImage, LabeledBox, LabeledPoint, LabeledRegion
from tasks.datasets.tools.shapes import decoded, encoded

SIZE = (40, 30)
NAMES = ("car", "bus stop")
JOINTS = ("head", "left hand")


def blob() -> np.ndarray:
    """A mask with a hole and a part that touches the last pixel."""
    pixels = np.zeros((30, 40), dtype=bool)
    pixels[5:20, 10:33] = True
    pixels[8:12, 12:20] = False
    pixels[28:, 37:] = True
    return pixels


def boxed() -> list[AnnotatedImage]:
    boxes = (LabeledBox("car", 2.125, 3.0, 12.0, 13.0625, 0.75), LabeledBox("bus stop", 0.0, 0.0, 40.0, 30.0, 0.5))
    return [AnnotatedImage("sub dir/ä&b.jpg", SIZE, boxes=boxes), AnnotatedImage("c.jpg", SIZE)]


def chosen() -> list[AnnotatedImage]:
    return [AnnotatedImage("a.jpg", choices=("bus stop",)), AnnotatedImage("b.jpg", choices=("car",))]


def pointed() -> list[AnnotatedImage]:
    points = (
        LabeledPoint("head", 1.5, 2.25, 0),
        LabeledPoint("left hand", 39.0, 29.5, 0),
        LabeledPoint("head", 5.0, 6.0, 1),
    )
    return [AnnotatedImage("a.jpg", SIZE, points=points)]


def masked() -> list[AnnotatedImage]:
    regions = (LabeledRegion("car", encoded(blob())), LabeledRegion("bus stop", encoded(~blob())))
    return [AnnotatedImage("a.jpg", SIZE, regions=regions)]


def accepted(path: Path) -> Path:
    """A file of predictions, made one of labels: as the tool exports it once a person has accepted all of them."""
    text = path.read_text()
    if path.suffix == ".xml":
        path.write_text(text.replace("<name>lossbench</name>", "<id>1</id><name>lossbench</name>"))
        return path
    table = json.loads(text)
    del table["info"]
    for each in table["annotations"]:
        each.pop("score", None)
    path.write_text(json.dumps(table))
    return path


def assert_same_boxes(found: AnnotatedImage, wanted: AnnotatedImage, rounding: float) -> None:
    assert [box.label for box in found.boxes] == [box.label for box in wanted.boxes]
    for box, other in zip(found.boxes, wanted.boxes, strict=True):
        np.testing.assert_allclose(box[1:5], other[1:5], rtol=0, atol=rounding)


def assert_same_points(found: AnnotatedImage, wanted: AnnotatedImage, rounding: float) -> None:
    assert [(each.label, each.person) for each in found.points] == [(each.label, each.person) for each in wanted.points]
    for point, other in zip(found.points, wanted.points, strict=True):
        np.testing.assert_allclose(point[1:3], other[1:3], rtol=0, atol=rounding)


def assert_same_regions(found: AnnotatedImage, wanted: AnnotatedImage) -> None:
    assert [each.label for each in found.regions] == [each.label for each in wanted.regions]
    for region, other in zip(found.regions, wanted.regions, strict=True):
        assert (decoded(region.mask) == decoded(other.mask)).all()
