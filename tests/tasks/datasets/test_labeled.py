"""Images that were labeled in an annotation tool: what is read of them, and what is not opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.datasets.labeled.folder import LabeledImages
from tasks.datasets.labeled.objects import labeled_objects
from tasks.datasets.objects import inside
from tasks.datasets.tools.annotated import AnnotatedImage, LabeledBox, LabeledPoint
from tasks.datasets.tools.checking import checked
from tasks.errors import DataError


def test_an_image_without_labels_is_not_opened(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    labels = (AnnotatedImage("a.png", boxes=(LabeledBox("car", 10, 5, 20, 10),)), None)
    files = (tmp_path / "a.png", tmp_path / "not-there.png")
    labeled, unlabeled = labeled_objects(LabeledImages(files, ("a.png", "not-there.png"), labels, ("car",), 2))
    np.testing.assert_allclose(labeled.boxes, [[0.25, 0.25, 0.5, 0.5]])
    assert (labeled.width, labeled.height) == (40, 20)
    assert (len(unlabeled.boxes), unlabeled.width, unlabeled.height) == (0, 0, 0)


def test_points_beyond_the_border_by_less_than_a_pixel_are_moved_onto_it(tmp_path: Path) -> None:
    image = AnnotatedImage(
        "a.png", size=(20, 30), points=(LabeledPoint("hand", 20.4, -0.5), LabeledPoint("foot", 3.5, 4.5))
    )
    (found,) = checked(tmp_path / "export.json", [image]).images
    assert [(each.x, each.y) for each in found.points] == [(20, 0), (3.5, 4.5)]


def test_a_box_that_vanishes_in_single_precision_has_no_area() -> None:
    with pytest.raises(DataError, match="has no area"):
        inside(np.array([[5000.0, 10.0, 5000.00001, 20.0]]), (6000, 100), "a.png")
