"""COCO's JSON as an export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_images import (
    JOINTS,
    NAMES,
    accepted,
    assert_same_boxes,
    assert_same_points,
    assert_same_regions,
    blob,
    boxed,
    masked,
    pointed,
)
from object_files import coco
from pycocotools import mask as coco_mask

from tasks.datasets.tools.annotated import AnnotatedImage, Annotations
from tasks.datasets.tools.coco import read_coco_annotations, write_coco_annotations
from tasks.datasets.tools.shapes import decoded, encoded, runs_of
from tasks.errors import DataError

RUNS = runs_of(blob().ravel(order="F"))


def read(folder: Path, table: object) -> Annotations:
    path = folder / "coco.json"
    path.write_text(json.dumps(table))
    return read_coco_annotations(path)


def one(**fields: Any) -> dict[str, Any]:
    """A file with one annotation, of one of two images."""
    return {
        "images": [
            {"id": 7, "file_name": "x/a.jpg", "width": 40, "height": 30},
            {"id": 2, "file_name": "b.jpg", "width": 40, "height": 30},
        ],
        "categories": [{"id": 4, "name": "car"}, {"id": 9, "name": "person", "keypoints": list(JOINTS)}],
        "annotations": [{"id": 11, "image_id": 7, "category_id": 4, **fields}],
    }


def test_boxes_are_read_whatever_the_ids(tmp_path: Path) -> None:
    table = coco()
    for each in table["annotations"]:
        each["segmentation"] = []
    found = read(tmp_path, table)
    assert [image.file for image in found.images] == ["a.jpg", "b.jpg", "c.jpg"]
    assert found.images[0].boxes == (("car", 2, 3, 12, 13, None), ("bus", 0, 0, 20, 10, None))
    assert found.images[2] == ("c.jpg", (40, 30), (), (), (), ())
    assert (found.class_names, found.skipped) == (("car", "bus"), ())


@pytest.mark.parametrize("form", ["list", "text", "outline"])
def test_masks_are_read(form: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "list": {"size": [30, 40], "counts": RUNS},
        "text": {"size": [30, 40], "counts": encoded(blob())["counts"].decode()},
        "outline": [[10, 5, 33, 5, 33, 20, 10, 20], [0, 0, 2, 0, 2, 2]],
    }
    (region,) = read(tmp_path, one(segmentation=given[form])).images[0].regions
    pixels = decoded(region.mask)
    if form == "outline":
        assert pixels[5:20, 10:33].all()
        assert 15 * 23 < pixels.sum() <= 15 * 23 + 4
    else:
        assert (pixels == blob()).all()


def test_compressed_runs_are_checked_against_the_size(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for share in (0.0, 0.01, 0.5, 1.0):
        pixels = generator.random((300, 200)) < share
        text = coco_mask.encode(np.asfortranarray(pixels, np.uint8))["counts"].decode()
        table = one(segmentation={"size": [300, 200], "counts": text})
        table["images"][0] |= {"width": 200, "height": 300}
        assert (decoded(read(tmp_path, table).images[0].regions[0].mask) == pixels).all()
        table = one(segmentation={"size": [30, 40], "counts": text})
        with pytest.raises(DataError, match="annotation 11: its mask has 60,000 pixels, and the image has 40x30"):
            read(tmp_path, table)


def test_joints_without_visibility_are_not_marked(tmp_path: Path) -> None:
    table = one(category_id=9, keypoints=[5, 6, 2, 0, 0, 0])
    table["annotations"].append(
        {"id": 12, "image_id": 7, "category_id": 9, "keypoints": [7, 8, 1, 9, 9, 2], "bbox": [5, 5, 9, 9]}
    )
    found = read(tmp_path, table)
    assert found.images[0].points == (("head", 5, 6, 0), ("head", 7, 8, 1), ("left hand", 9, 9, 1))
    assert found.images[0].boxes == (("person", 5, 5, 14, 14, None),)
    assert found.class_names == ("car", *JOINTS)


def test_a_crowd_is_a_region_and_no_box(tmp_path: Path) -> None:
    table = one(iscrowd=1, bbox=[1, 1, 9, 9], segmentation={"size": [30, 40], "counts": RUNS})
    assert [image.file for image in read(tmp_path, table).images] == ["b.jpg"]
    assert read(tmp_path, table).skipped == ("x/a.jpg",)
    table["annotations"].append({"id": 12, "image_id": 7, "category_id": 4, "bbox": [2, 2, 9, 9], "segmentation": []})
    image = read(tmp_path, table).images[0]
    assert [box[1:3] for box in image.boxes] == [(2, 2)]
    assert len(image.regions) == 1


def test_an_object_with_a_box_and_an_outline_is_one_and_one_without_a_box_has_that_of_its_outline(
    tmp_path: Path,
) -> None:
    outline = [[10.0, 5.0, 30.0, 5.0, 30.0, 25.0, 10.0, 25.0]]
    found = read(tmp_path, one(bbox=[9, 4, 22, 22], segmentation=outline))
    assert found.outlines_in_boxes
    assert found.images[0].boxes == (("car", 9, 4, 31, 26, None),)
    assert read(tmp_path, one(segmentation=outline)).images[0].boxes == (("car", 10, 5, 30, 25, None),)
    assert read(tmp_path, one(segmentation=outline, iscrowd=1)).skipped == ("x/a.jpg",)


@pytest.mark.parametrize("side", [-1, 0, None])
def test_a_size_that_is_not_known_is_none(side: int | None, tmp_path: Path) -> None:
    table = one(bbox=[1, 2, 900, 900])
    table["images"][0]["width"] = side
    assert read(tmp_path, table).images[0][:2] == ("x/a.jpg", None)
    table["annotations"][0]["segmentation"] = [[1, 1, 5, 1, 5, 5]]
    with pytest.raises(DataError, match="annotation 11: a mask needs the image's width and height"):
        read(tmp_path, table)


def test_addresses_of_label_studio_become_paths(tmp_path: Path) -> None:
    table = one(bbox=[1, 2, 3, 4])
    table["images"][0]["file_name"] = "/data/local-files/?d=set/im%201.jpg"
    assert read(tmp_path, table).images[0].file == "set/im 1.jpg"


def test_no_annotations_need_no_categories(tmp_path: Path) -> None:
    found = read(tmp_path, one() | {"annotations": [], "categories": []})
    assert [(image.file, image.boxes) for image in found.images] == [("x/a.jpg", ()), ("b.jpg", ())]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    write_coco_annotations(path, boxed(), NAMES)
    assert json.loads(path.read_text())["annotations"][0]["score"] == 0.75
    found = read_coco_annotations(accepted(path))
    assert found.class_names == NAMES
    for image, wanted in zip(found.images, boxed(), strict=True):
        assert image[:3] == wanted[:3]
        assert_same_boxes(image, wanted, 1e-9)
    write_coco_annotations(path, masked(), NAMES)
    assert_same_regions(read_coco_annotations(accepted(path)).images[0], masked()[0])
    write_coco_annotations(path, pointed(), JOINTS)
    assert_same_points(read_coco_annotations(accepted(path)).images[0], pointed()[0], 1e-9)
    assert read_coco_annotations(path).class_names == JOINTS


@pytest.mark.parametrize(("images", "names"), [(boxed(), NAMES), (masked(), NAMES), (pointed(), JOINTS)])
def test_predictions_are_no_labels(images: list[AnnotatedImage], names: tuple[str, ...], tmp_path: Path) -> None:
    write_coco_annotations(tmp_path / "coco.json", images, names)
    with pytest.raises(
        DataError, match=r"coco.json: its annotations are predictions, .*; import them into an annotation"
    ):
        read_coco_annotations(tmp_path / "coco.json")


FAULTS: dict[str, tuple[object, str]] = {
    "no categories": (one(bbox=[1, 1, 2, 2]) | {"categories": []}, "has no list of categories"),
    "categories without a list": (one(bbox=[1, 1, 2, 2]) | {"categories": {"a": 1}}, "has no list of categories"),
    "no annotations": ({"images": []}, "has no list 'annotations'"),
    "an unknown image": (one(image_id=1, bbox=[1, 1, 2, 2]), "annotation 11 is of image 1, which is not listed"),
    "an unknown category": (one(category_id=1, bbox=[1, 1, 2, 2]), "annotation 11 is of category 1"),
    "a score": (one(bbox=[1, 1, 2, 2], score=0.9), "1 annotation with a score are predictions, which nobody has corrected"),
    "nothing": (one(), "x/a.jpg, annotation 11 has no box, mask or keypoints"),
    "three numbers": (one(bbox=[1, 1, 2]), "x/a.jpg, annotation 11: bbox has 3 numbers"),
    "corners for sizes": (one(bbox=[20, 20, 35, 28]), r"x/a.jpg: the box from \(20, 20, 55, 48\) lies outside"),
    "a negative width": (one(bbox=[10, 5, -5, 5]), "x/a.jpg: the box .* has no area"),
    "a text": (one(bbox=["1", 1, 2, 2]), "annotations, entry 0: bbox"),
    "no visibility": (one(category_id=9, keypoints=[1, 2, 3, 4]), "annotation 11 has 4 numbers of keypoints, and the 2 joints of person need 6"),
    "joints of a car": (one(keypoints=[1, 2, 2]), "the 0 joints of car need 0"),
    "a mask of another size": (one(segmentation={"size": [40, 30], "counts": RUNS}), r"annotation 11: its mask has the size \[40, 30\], and its image \(40, 30\)"),
    "runs of texts": (one(segmentation={"size": [30, 40], "counts": ["1"]}), "annotation 11: its mask is no list of run lengths"),
    "runs that are no text": (one(segmentation={"size": [30, 40], "counts": "é!"}), "annotation 11: its mask is no list"),
    "negative runs": (one(segmentation={"size": [30, 40], "counts": [1300, -100]}), "annotation 11: its mask is no list"),
    "too few runs": (one(segmentation={"size": [30, 40], "counts": [10, 10]}), "annotation 11: its mask has 20 pixels"),
    "an outline of two": (one(segmentation=[[1, 1, 2, 2]]), "annotation 11: an outline has 4 numbers"),
    "an outline far outside": (one(segmentation=[[1, 1, 2, 2, 1e9, 3]]), "annotation 11: the outline .* lies outside"),
    "a huge image": (one(segmentation=[[1, 1, 2, 2, 3, 1]]) | {"images": [{"id": 7, "file_name": "a.jpg", "width": 99999, "height": 99999}]}, "more than 67,108,864"),
    "an image twice": (one(bbox=[1, 1, 2, 2]) | {"images": [{"id": n, "file_name": "a.jpg"} for n in (7, 8)]}, "a.jpg: the image is there twice"),
    "an id twice": (one(bbox=[1, 1, 2, 2]) | {"images": [{"id": 7, "file_name": n} for n in "ab"]}, "the image 7 is listed twice"),
    "categories alike": (one(bbox=[1, 1, 2, 2]) | {"categories": [{"id": 4, "name": "car"}, {"id": 5, "name": "Car"}]}, "differ in case"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_one_line(fault: str, tmp_path: Path) -> None:
    table, wanted = FAULTS[fault]
    with pytest.raises(DataError, match=wanted) as caught:
        read(tmp_path, table)
    assert "\n" not in str(caught.value)
    assert "coco.json" in str(caught.value)


def test_joints_are_no_classes_of_boxes(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}], "annotations": [],
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "eye"]}, {"id": 2, "name": "car"}],
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = read_coco_annotations(tmp_path / "a.json")
    assert found.listed("boxes") == found.listed("regions") == ("person", "car")
    assert found.listed("points") == ("nose", "eye")
