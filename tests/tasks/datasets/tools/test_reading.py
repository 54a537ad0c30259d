"""Which form an export has, told by its content."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from annotated_images import NAMES, accepted, boxed
from object_files import draw, write_coco, write_voc, write_yolo

from tasks.datasets.tools.annotated import AnnotatedImage
from tasks.datasets.tools.cvat import write_cvat
from tasks.datasets.tools.reading import read_annotations
from tasks.errors import DataError


def _label_studio(folder: Path) -> Path:
    annotations = [{"result": [{"type": "choices", "value": {"choices": ["car"]}}]}]
    path = folder / "export"  # without a suffix
    path.write_bytes(
        b"\xef\xbb\xbf\n" + json.dumps([{"data": {"image": "a.jpg"}, "annotations": annotations}]).encode()
    )
    return path


def _minimal(folder: Path) -> Path:
    (folder / "min.json").write_text(json.dumps([{"image": "a.jpg", "id": 1, "choice": "car", "annotation_id": 1}]))
    return folder / "min.json"


def _cvat(folder: Path) -> Path:
    write_cvat(folder / "annotations.xml", [AnnotatedImage("a.jpg", choices=("car",)), *boxed()], NAMES)
    return accepted(folder / "annotations.xml")


def _yolo_folder(folder: Path) -> Path:
    path = write_yolo(folder)
    shutil.move(path, folder / "data.yaml")
    return folder


def _classes(folder: Path) -> Path:
    path = write_yolo(folder, "")
    path.unlink()
    for place in ("images/val", "labels/val"):
        shutil.rmtree(folder / place)
    (folder / "classes.txt").write_text("car\nbus\n")
    return folder


def _table(folder: Path) -> Path:
    (folder / "a.csv").write_text("file,label\na.jpg,car\n")
    return folder / "a.csv"


def _class_folders(folder: Path) -> Path:
    draw(folder / "car", "a")
    return folder


@pytest.mark.parametrize(
    ("write", "first"),
    [
        (_label_studio, "a.jpg"),
        (_minimal, "a.jpg"),
        (_cvat, "a.jpg"),
        (write_coco, "a.jpg"),
        (write_yolo, "a.jpg"),
        (_yolo_folder, "a.jpg"),
        (_classes, "train/a.jpg"),
        (_table, "a.jpg"),
        (write_voc, "a"),
        (_class_folders, "car/a.jpg"),
    ],
)
def test_the_form_is_told_by_the_content(write: Callable[[Path], Path], first: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    if path.suffix == ".json" and write is write_coco:
        table = json.loads(path.read_text())
        path.write_text(
            json.dumps(table | {"annotations": [each | {"segmentation": []} for each in table["annotations"]]})
        )
    if write is write_yolo:
        path.write_text("names: [car, bus]\ntrain: images/train\n")
    if write is _yolo_folder:
        (tmp_path / "data.yaml").write_text("names: [car, bus]\nval: images/val\n")
    image = read_annotations(path).images[0]
    assert image.file == first
    assert "car" in (*image.choices, *(box.label for box in image.boxes))


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.txt", b"hello", "a.txt holds no labels in a form that is read; give Label Studio's JSON or"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "a.jpg holds no labels"),
        ("a.json", b"", "a.json holds no labels"),
        ("a.json", b"[", "a.json is not JSON"),
        ("a.json", b'{"model": 1}', "a.json holds no labels in a form"),
        ("a.json", b'{"images": 1}', "a.json is no COCO file: it has no list 'images'"),
        ("a.json", b'["a"]', "a.json holds no list of tasks"),
        ("a.xml", b"<html></html>", "a.xml is not an export of CVAT: its root is 'html'"),
        ("a.xml", b"<annotation></annotation>", "a.xml is one annotation of VOC; give the folder of all of them"),
        ("a.yaml", b"- a", "a.yaml is no YOLO file"),
        ("folder/a.txt", b"hello", "folder holds no labels"),
        ("folder/a.jpg", b"", "folder holds no labels"),
    ],
)
def test_what_is_no_export_is_one_line(name: str, content: bytes, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DataError, match=wanted) as caught:
        read_annotations(tmp_path / name.split("/", maxsplit=1)[0])
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there are no labels .*none.json; give the path of an export"):
        read_annotations(tmp_path / "none.json")


def test_a_file_is_read_once_until_it_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,label\na.jpg,car\n", encoding="utf-8")
    first = read_annotations(path)
    assert read_annotations(path) is first
    path.write_text("file,label\na.jpg,bus\n", encoding="utf-8")
    os.utime(path, ns=(0, 0))
    assert read_annotations(path).images[0].choices == ("bus",)
