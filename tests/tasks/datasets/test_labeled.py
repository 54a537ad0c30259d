"""Images that were labeled in an annotation tool: what is read of them, and what is not opened."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.datasets.labeled.folder import LabeledImages, is_example, load_labeled
from tasks.datasets.labeled.objects import labeled_objects
from tasks.datasets.objects import inside
from tasks.datasets.tools.annotated import AnnotatedImage, LabeledBox, LabeledPoint, LabeledRegion
from tasks.datasets.tools.checking import checked
from tasks.errors import DataError
from tasks.settings import LabeledFolder


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


REGION = LabeledRegion("car", {"size": [4, 4], "counts": b"0"})


@pytest.mark.parametrize(
    ("label", "boxes", "regions"),
    [
        (AnnotatedImage("a.png"), True, False),
        (AnnotatedImage("a.png", choices=("bad image",)), False, False),
        (AnnotatedImage("a.png", choices=("day",), regions=(REGION,)), True, True),
        (AnnotatedImage("a.png", regions=(REGION,)), True, True),
        (AnnotatedImage("a.png", points=(LabeledPoint("hand", 1, 1),)), False, False),
        (AnnotatedImage("a.png", boxes=(LabeledBox("car", 0, 0, 2, 2),), regions=(REGION,)), True, True),
        (None, False, False),
    ],
)
def test_an_image_with_objects_that_have_no_boxes_is_no_background(
    label: AnnotatedImage | None, boxes: bool, regions: bool
) -> None:
    assert (is_example(label, "boxes"), is_example(label, "regions")) == (boxes, regions)


@pytest.mark.parametrize(
    ("classes", "wanted"),
    [
        ([], [("car", 1, 1, 9, 9), ("car", 20, 10, 40, 30), ("road", 2, 3, 6, 5)]),
        (["car"], [("car", 1, 1, 9, 9), ("car", 20, 10, 40, 30)]),
    ],
)
def test_to_a_detector_outlines_and_masks_are_their_boxes(
    classes: list[str], wanted: list[tuple[object, ...]], tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "photos/a.png")
    shapes = """<box label="car" xtl="1" ytl="1" xbr="9" ybr="9"/><polygon label="car" points="20,10;40,10;40,30;20,30"/>
        <mask label="road" rle="0, 8" left="2" top="3" width="4" height="2" z_order="1"/>
        <mask label="road" rle="4" left="2" top="3" width="2" height="2" z_order="2"/>"""
    image = f'<image id="0" name="a.png" width="60" height="40">{shapes}</image>'
    (tmp_path / "a.xml").write_text(f"<annotations>{image}</annotations>")
    source = LabeledFolder.model_validate({"images": "photos", "labels": ["a.xml"]})
    found = load_labeled(source.model_copy(update={"classes": tuple(classes)}), tmp_path, "boxes")
    (label,) = found.labels
    assert label is not None
    assert [box[:5] for box in label.boxes] == wanted
    assert len(labeled_objects(found)[0].boxes) == len(wanted)
    regions = load_labeled(source, tmp_path, "regions")
    assert [len(label.boxes) for label in regions.labels if label] == [1]


def labeled(folder: Path, files: list[str], rows: list[str]) -> dict[str, AnnotatedImage | None]:
    """What a table says of the images of a folder."""
    for file in files:
        path = folder / "photos" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows, ""]))
    source = LabeledFolder.model_validate({"images": "photos", "labels": ["labels.csv"], "unlabeled": True})
    found = load_labeled(source, folder, "choices")
    return dict(zip(found.names, found.labels, strict=True))


def test_of_an_image_in_two_exports_the_last_counts(tmp_path: Path) -> None:
    labeled(tmp_path, ["1.png", "2.png"], ["2.png,cat"])
    for name, animal in (("first", "cat"), ("last", "dog")):
        (tmp_path / f"{name}.csv").write_text(f"file,label\n1.png,{animal}\n")
    for exports, animal in ((["first.csv", "last.csv"], "dog"), (["last.csv", "first.csv"], "cat")):
        source = LabeledFolder.model_validate({"images": "photos", "labels": exports})
        assert [label and label.choices for label in load_labeled(source, tmp_path, "choices").labels] == [(animal,)]


def exported(*results: dict[str, object], cancelled: bool = False) -> str:
    """An export of Label Studio with one annotation, of the image a/1.png."""
    annotation = {"result": results, "was_cancelled": cancelled}
    return json.dumps([{"data": {"image": "/data/local-files/?d=photos/a/1.png"}, "annotations": [annotation]}])


CAT: dict[str, object] = {"type": "choices", "value": {"choices": ["cat"]}}


@pytest.mark.parametrize(
    ("name", "later", "kept"),
    [
        ("later.csv", "file,label\na/1.png,\n", False),
        ("later.csv", "file,label\n1,\n", False),
        ("later.csv", "file,label\nb/1.png,\nelsewhere.png,\n", True),
        ("later.json", exported(CAT, cancelled=True), False),
        ("later.json", exported({"type": "textarea", "value": {"text": ["blurred"]}}), False),
        ("later.json", exported(CAT), True),
    ],
)
def test_a_later_export_withdraws_a_label(
    name: str, later: str, kept: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labeled(tmp_path, ["a/1.png", "2.png"], ["1.png,cat", "2.png,dog"])
    (tmp_path / name).write_text(later)
    source = LabeledFolder.model_validate({"images": "photos", "labels": ["labels.csv", name]})
    assert sorted(load_labeled(source, tmp_path, "choices").names) == (["2.png", "a/1.png"] if kept else ["2.png"])
    said = f"{name}: 1 image of earlier exports without a label here, such as a/1.png, counts as unlabeled"
    assert (said in caplog.text) is not kept
    source = LabeledFolder.model_validate({"images": "photos", "labels": [name, "labels.csv"]})
    assert len(load_labeled(source, tmp_path, "choices").names) == 2


def test_labels_are_of_the_image_whose_path_ends_most_like_theirs(tmp_path: Path) -> None:
    found = labeled(tmp_path, ["1.png", "a/1.png", "b/2.png"], ["photos/a/1.png,cat", "1.png,dog", "2,cat"])
    assert {name: label.choices for name, label in found.items() if label} == {
        "a/1.png": ("cat",), "1.png": ("dog",), "b/2.png": ("cat",)
    }  # fmt: skip
    with pytest.raises(DataError, match=r"1\.png may be b/1\.png or c/1\.png"):
        labeled(tmp_path / "other", ["b/1.png", "c/1.png"], ["1.png,cat", "x,dog"])
