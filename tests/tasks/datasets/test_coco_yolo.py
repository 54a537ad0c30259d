"""Objects in COCO's and YOLO's forms: the same as in VOC's, and what can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Result
from object_files import BOXES, NAMES, SIZE, coco, write_coco, write_voc, write_yolo
from PIL import Image
from sample_configs import written

from tasks.datasets.coco.boxes import load_coco, read_coco
from tasks.datasets.objects import ObjectSplit
from tasks.datasets.voc import load_split
from tasks.datasets.yolo import labels_of, load_yolo, read_yolo
from tasks.errors import DataError


def read_all(path: Path, **options: bool) -> ObjectSplit:
    options = {"need_object": False} | options
    if path.suffix == ".json":
        return load_coco(read_coco(path), path.parent / "photos", NAMES, **options)
    if path.suffix == ".yaml":
        found = read_yolo(path)
        return load_yolo(found.pool, found.class_names, NAMES, **options)
    return load_split(path, ["2007/all"], NAMES, **options)


@pytest.mark.parametrize("write", [write_coco, write_yolo, write_voc])
def test_all_forms_give_the_same_objects(write: Callable[[Path], Path], tmp_path: Path) -> None:
    found = read_all(write(tmp_path))
    assert [file.name for file in found.files] == ["a.jpg", "b.jpg", "c.jpg"]
    for objects, wanted in zip(found.objects, BOXES.values(), strict=True):
        assert (objects.width, objects.height) == SIZE
        np.testing.assert_allclose(
            objects.boxes * [40, 30, 40, 30], np.array([box for _, box in wanted]).reshape(-1, 4), atol=1e-4
        )
        assert [NAMES[label] for label in objects.labels] == [label for label, _ in wanted]
        assert not objects.difficult.any()
    assert len(read_all(write(tmp_path / "again"), need_object=True).files) == 2


def test_a_crowd_is_difficult(tmp_path: Path) -> None:
    table = coco()
    table["annotations"][0]["iscrowd"] = 1
    found = read_all(write_coco(tmp_path, table))
    assert [each.difficult.tolist() for each in found.objects] == [[True, False], [False], []]


def test_hidden_files_of_macos_are_no_images(tmp_path: Path) -> None:
    path = write_yolo(tmp_path)
    (tmp_path / "images/train/._a.jpg").write_bytes(b"Mac OS X")
    assert [file.name for file in read_all(path).files] == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_folder_beside_the_file_may_be_written_as_roboflow_does(tmp_path: Path) -> None:
    path = write_yolo(tmp_path, "names: [car, bus]\ntrain: ../images/train\nval: ../images/val\n")
    assert len(read_all(path).files) == 3


def test_poses_are_no_boxes(tmp_path: Path) -> None:
    path = write_yolo(tmp_path, "names: [car, bus]\ntrain: images/train\nval: images/val\nkpt_shape: [3, 2]\n")
    with pytest.raises(DataError, match=r"is a set of poses; export them in COCO's form"):
        read_all(path)


def test_a_box_without_height_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Official COCO has some."""
    table = coco()
    before = len(table["annotations"])
    table["annotations"][0]["bbox"][3] = 0
    found = read_all(write_coco(tmp_path, table))
    assert sum(len(each.labels) for each in found.objects) == before - 1
    assert "1 box without width or height left out" in caplog.text


def test_an_outline_is_read_as_its_box(tmp_path: Path) -> None:
    path = write_yolo(tmp_path)
    (tmp_path / "labels/train/c.txt").write_text("1 0.25 0.5 0.5 0.2 0.75 0.5 0.5 0.8\n\n")
    np.testing.assert_allclose(read_all(path).objects[2].boxes, [[0.25, 0.2, 0.75, 0.8]], atol=1e-6)


@pytest.mark.parametrize(
    ("corners", "wanted"),
    [
        ("-0.25 0.5 0.25 0.1 0.75 0.5 0.25 0.9", [0, 0.1, 0.75, 0.9]),  # a diamond
        ("-0.25 0.1 0.75 0.1 0.75 0.9 -0.25 0.9", None),  # upright
        ("-0.25 0.5 0.25 0.1 0.75 0.5 0.25 0.7", None),  # no rectangle
        ("-0.25 0.5 0.25 0.1 0.75 inf 0.25 0.9", None),
        ("-0.75 0.5 -0.5 0.1 -0.25 0.5 -0.5 0.9", None),  # all of it outside
    ],
)
def test_a_turned_box_ends_at_the_border(corners: str, wanted: list[float] | None, tmp_path: Path) -> None:
    path = write_yolo(tmp_path)
    (tmp_path / "labels/train/c.txt").write_text(f"1 {corners}\n")
    if wanted is None:
        with pytest.raises(DataError, match="lies outside its image"):
            read_all(path)
    else:
        np.testing.assert_allclose(read_all(path).objects[2].boxes, [wanted], atol=1e-6)


def test_images_may_stand_in_lists_and_be_elsewhere(tmp_path: Path) -> None:
    write_yolo(tmp_path / "set")
    (tmp_path / "set/train.txt").write_text("./images/train/a.jpg\nimages/train/b.jpg\n\n")
    (tmp_path / "own.yaml").write_text(
        "path: set\nnames: {0: car, 1: bus}\ntrain: [train.txt]\ntest: images/val\nval: no\n"
    )
    found = read_yolo(tmp_path / "own.yaml")
    assert [file.name for file in found.pool] == ["a.jpg", "b.jpg"]
    assert [len(each.labels) for each in load_yolo(found.pool, NAMES, NAMES, need_object=False).objects] == [2, 1]
    assert {file.parent.name for file in found.test} == {"val"}


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("a/images/train/x.jpg", "a/labels/train/x.txt"),
        ("images/a/images/x.y.png", "images/a/labels/x.y.txt"),
        ("photos/images.jpg", "photos/images.txt"),
    ],
)
def test_where_the_text_of_an_image_lies(image: str, text: str) -> None:
    assert labels_of(Path(image)) == Path(text)


@pytest.mark.parametrize("pixels", [0.5, 1.0])
def test_a_box_beyond_the_border_by_a_pixel_is_cut_and_counted(
    pixels: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = coco()
    table["annotations"][2]["bbox"] = [-pixels, 5, 40 + 2 * pixels, 25]
    found = read_all(write_coco(tmp_path, table))
    np.testing.assert_allclose(found.objects[1].boxes, [[0, 1 / 6, 1, 1]])
    assert "1 box reaches beyond an image by a pixel at most" in caplog.text


def _bbox(*box: object) -> dict[str, Any]:
    table = coco()
    table["annotations"][2]["bbox"] = list(box)
    return table


def _with(place: str, number: int, **fields: object) -> dict[str, Any]:
    table = coco()
    table[place][number] |= fields
    return table


COCO_FAULTS: dict[str, tuple[object, str]] = {
    "no table": ([], "holds no table of images and categories"),
    "no categories": ({"images": [], "annotations": []}, "no list 'categories'"),
    "an empty list of categories": (coco(categories=[]), "has no classes"),
    "no images": (coco(images=[]), "is of image 5, which is not listed|has no images"),
    "a width of -1": (_with("images", 1, width=-1), "images, entry 1: width"),
    "a width that is a text": (_with("images", 1, width="40"), "images, entry 1: width"),
    "another size": (_with("images", 1, width=50), "b.jpg has 40x30 pixels, and .*coco.json says 50x30"),
    "an image that is missing": (_with("images", 2, file_name="d.jpg"), "d.jpg"),
    "an image twice": (_with("images", 1, id=5), "the image 5 is listed twice"),
    "a category twice": (_with("categories", 1, id=3), "the category 3 is listed twice"),
    "a class name twice": (_with("categories", 1, name="car"), "has the class 'car' 2 times"),
    "class names that differ in case": (_with("categories", 1, name="Car "), "differ in case or white space"),
    "an unknown image": (_with("annotations", 1, image_id=1), "annotation 1 is of image 1, which is not listed"),
    "an unknown category": (_with("annotations", 1, category_id=4), "is of category 4, which is not listed"),
    "three numbers": (_bbox(1, 2, 3), "annotations, entry 2: bbox"),
    "a negative width": (_bbox(10, 5, -5, 5), "has no area"),
    "corners for sizes": (
        _bbox(20, 20, 35, 28),
        r"b.jpg: the box from \(20, 20, 55, 48\) lies outside its image of 40x30",
    ),
    "outside": (_bbox(-3, 0, 10, 10), "lies outside its image"),
    "NaN": (_bbox(float("nan"), 0, 10, 10), "bbox|is not JSON"),
    "a crowd of 2": (_with("annotations", 0, iscrowd=2), "annotations, entry 0: iscrowd"),
}


@pytest.mark.parametrize("fault", COCO_FAULTS)
def test_what_is_wrong_with_a_coco_file_is_one_line(fault: str, tmp_path: Path) -> None:
    table, wanted = COCO_FAULTS[fault]
    with pytest.raises(DataError, match=wanted) as caught:
        read_all(write_coco(tmp_path, table))
    assert "\n" not in str(caught.value)


YOLO_FAULTS: dict[str, tuple[str, str]] = {
    "no table": ("- a\n", "holds no table"),
    "no YAML": ("names: [car\n", "cannot be read"),
    "no names": ("train: images/train\nval: images/val\n", "names is None"),
    "names that are numbers": ("names: [1, 2]\ntrain: images/train\nval: images/val\n", r"names is \[1, 2\]"),
    "gaps in the numbers": ("names: {0: car, 2: bus}\ntrain: images/train\nval: images/val\n", "names is"),
    "names alike": ("names: [car, CAR]\ntrain: images/train\nval: images/val\n", "differ in case"),
    "no pool": ("names: [car, bus]\nval: images/val\n", "has no 'train'"),
    "no test": ("names: [car, bus]\ntrain: images/train\n", "has no 'val'"),
    "a folder that is missing": ("names: [car, bus]\ntrain: images/none\nval: images/val\n", "train, images/none, not found"),
    "a folder without images": ("names: [car, bus]\ntrain: labels\nval: images/val\n", "train has no image"),
    "a number for a folder": ("names: [car, bus]\ntrain: 3\nval: images/val\n", "train is 3"),
    "code": ("names: !!python/object/apply:os.getcwd []\n", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("fault", YOLO_FAULTS)
def test_what_is_wrong_with_a_yolo_file_is_one_line(fault: str, tmp_path: Path) -> None:
    content, wanted = YOLO_FAULTS[fault]
    with pytest.raises(DataError, match=wanted) as caught:
        read_all(write_yolo(tmp_path, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("0 0.5 0.5 0.2", "line 1 has 4 numbers; a class and four belong there"),
        ("0 0.5 0.5 0.2 0.2 0.9", "line 1 has 6 numbers"),
        ("2 0.5 0.5 0.2 0.2", "has the class 2; classes are 0 to 1"),
        ("-1 0.5 0.5 0.2 0.2", "has the class -1"),
        ("car 0.5 0.5 0.2 0.2", "line 1 is 'car 0.5"),
        ("0 20 15 10 10", "lies outside its image"),
        ("0 0.5 0.5 nan 0.2", "lies outside its image|has no area"),
        ("0 0.5 0.5 0 0.2", "has no area"),
        ("0 0.9 0.5 0.4 0.2", "lies outside its image of 40x30"),
    ],
)
def test_what_is_wrong_with_a_line_is_named(line: str, wanted: str, tmp_path: Path) -> None:
    path = write_yolo(tmp_path)
    (tmp_path / "labels/train/c.txt").write_text(line)
    with pytest.raises(DataError, match=wanted) as caught:
        read_all(path)
    assert "c.txt" in str(caught.value)


PROTOCOL = """
name = "tiny"
version = 1
budget = {{ initial = 3, step = 2, rounds = 2 }}

[task]
kind = "detection"
data = {{ {data}, validation = 2 }}
model = {{ kind = "resnet18", width = 8, pixels = 64 }}
recipe = {{ epochs = 1, batch = 2, optimizer = "adamw", learning_rate = 1e-3 }}
"""
SWEEP = 'protocols = ["tiny"]\nstrategies = ["margin"]\nseeds = [0]\n'
OF_COCO = 'coco = {{ pool = "{0}", pool_images = "photos", test = "{0}", test_images = "other" }}'


def many(folder: Path) -> None:
    """Nine images for each split, in both forms."""
    table = coco()
    table["images"] = [
        each | {"id": each["id"] + 10 * k, "file_name": f"{k}{each['file_name']}"}
        for k in range(3)
        for each in table["images"]
    ]
    table["annotations"] = [
        each | {"image_id": each["image_id"] + 10 * k} for k in range(3) for each in table["annotations"]
    ]
    (folder / "many.json").write_text(json.dumps(table))
    for split in ("photos", "other", "images/train", "images/val"):
        (folder / split).mkdir(parents=True)
        for k in range(3):
            for name in BOXES:
                Image.new("RGB", SIZE, (k * 80, 0, 0)).save(folder / split / f"{k}{name}.jpg")
    for split in ("train", "val"):
        (folder / "labels" / split).mkdir(parents=True)
        for k in range(3):
            (folder / f"labels/{split}/{k}a.txt").write_text("0 0.5 0.5 0.2 0.2\n1 0.2 0.2 0.2 0.2\n")
    (folder / "own.yaml").write_text("names: [car, bus]\ntrain: images/train\nval: images/val\n")


@pytest.mark.parametrize("data", [OF_COCO.format("many.json"), 'yolo = "own.yaml"'])
def test_a_protocol_runs_on_both_forms(data: str, tmp_path: Path, lossbench_cli: Callable[..., Result]) -> None:
    many(tmp_path)
    sweep = written(tmp_path, PROTOCOL.format(data=data), SWEEP)
    result = lossbench_cli("run", sweep, "--data", tmp_path, "--out", tmp_path / "out", "--workers", 1)
    assert result.code == 0, result
    assert list((tmp_path / "out/records").rglob("margin-*.json"))


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ('yolo = "own.yaml", classes = ["cab"]', "has no class 'cab' of task.data.classes; did you mean car?"),
        ('yolo = "none.yaml"', "the YOLO file not found"),
        ('yolo = "same.yaml"', "is in both the pool and the test"),
        (f'yolo = "own.yaml", {OF_COCO.format("many.json")}', "coco and yolo are two sources of images"),
        (OF_COCO.format("none.json"), "the COCO file not found"),
    ],
)
def test_a_wrong_source_is_one_line(
    data: str, wanted: str, tmp_path: Path, lossbench_cli: Callable[..., Result]
) -> None:
    many(tmp_path)
    (tmp_path / "same.yaml").write_text("names: [car, bus]\ntrain: images/train\nval: images/train\n")
    sweep = written(tmp_path, PROTOCOL.format(data=data), SWEEP)
    result = lossbench_cli("run", sweep, "--data", tmp_path, "--out", tmp_path / "out", "--workers", 1)
    assert result.code == 2
    (line,) = result.errors.splitlines()[-1:]
    assert line.startswith("lossbench: ")
    assert wanted in line


def test_a_text_beside_its_image_is_found_below_any_folder(tmp_path: Path) -> None:
    folder = tmp_path / "images/set"
    folder.mkdir(parents=True)
    (folder / "x.txt").write_text("0 0.5 0.5 0.1 0.1")
    assert labels_of(folder / "x.jpg") == folder / "x.txt"
    other = tmp_path / "labels/set/x.txt"
    other.parent.mkdir(parents=True)
    other.write_text("")
    assert labels_of(folder / "x.jpg") == other
