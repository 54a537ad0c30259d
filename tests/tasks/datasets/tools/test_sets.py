"""YOLO sets, folders of VOC's files, tables and class folders as exports."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from annotated_images import NAMES, SIZE, assert_same_boxes, boxed, chosen
from object_files import BOXES, draw, write_voc, write_yolo
from PIL import Image

from tasks.datasets.tools.annotated import AnnotatedImage
from tasks.datasets.tools.table import read_class_folders, read_label_table
from tasks.datasets.tools.voc import read_voc_annotations
from tasks.datasets.tools.yolo import read_yolo_annotations, write_yolo_annotations
from tasks.errors import DataError

Objects = list[tuple[str, tuple[int, ...]]]


def objects(image: AnnotatedImage) -> Objects:
    return [(box.label, tuple(round(side, 4) for side in box[1:5])) for box in image.boxes]


@pytest.mark.parametrize("splits", [["train"], ["val"], ["test"], ["val", "test"]])
def test_a_yolo_set_may_have_any_splits(splits: list[str], tmp_path: Path) -> None:
    places = {"train": "train", "val": "val", "test": "val"}
    path = write_yolo(
        tmp_path, "names: [car, bus]\n" + "".join(f"{split}: images/{places[split]}\n" for split in splits)
    )
    found = read_yolo_annotations(path)
    assert found.class_names == ("car", "bus")
    assert [image.file.rpartition("/")[2] for image in found.images] == ["a.jpg", "b.jpg", "c.jpg"]
    assert [objects(image) for image in found.images] == list(BOXES.values())
    assert {image.size for image in found.images} == {SIZE}


def test_images_of_one_name_in_two_splits_are_two(tmp_path: Path) -> None:
    path = write_yolo(tmp_path)
    (tmp_path / "images/train/a.jpg").rename(tmp_path / "images/train/d.jpg")
    names = [image.file for image in read_yolo_annotations(path).images]
    assert names == ["train/b.jpg", "train/c.jpg", "d.jpg", "a.jpg", "val/b.jpg", "val/c.jpg"]


def test_a_written_yolo_set_is_read_with_the_images_elsewhere(tmp_path: Path) -> None:
    for image in boxed():
        file = tmp_path / "photos" / image.file
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE).save(file)
    write_yolo_annotations(tmp_path / "out", boxed(), NAMES)
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text())["names"] == dict(enumerate(NAMES))
    found = read_yolo_annotations(tmp_path / "out/data.yaml", tmp_path / "photos")
    assert found.class_names == NAMES
    for image, wanted in zip(found.images, boxed(), strict=True):
        assert image[:2] == wanted[:2]
        assert_same_boxes(image, wanted, 40e-6)
    with pytest.raises(
        DataError, match=r"an image of the YOLO set not found: .*images/train/sub dir/ä&b.jpg; put it there"
    ):
        read_yolo_annotations(tmp_path / "out/data.yaml")


def test_a_set_with_a_list_of_classes_counts_images_with_text_files(tmp_path: Path) -> None:
    draw(tmp_path / "photos", "abc")
    (tmp_path / "export/labels").mkdir(parents=True)
    (tmp_path / "export/classes.txt").write_text("bus\ncar\n")
    (tmp_path / "export/labels/b.txt").write_text("")
    (tmp_path / "export/labels/a.txt").write_text("1 0.25 0.4 0.3 0.4\n0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    found = read_yolo_annotations(tmp_path / "export", tmp_path / "photos")
    assert [(image.file, objects(image)) for image in found.images] == [
        ("a.jpg", [("car", (4, 6, 16, 18)), ("bus", (4, 3, 20, 15))]), ("b.jpg", [])
    ]  # fmt: skip
    assert found.class_names == ("bus", "car")
    with pytest.raises(DataError, match=r"no image for .*a.txt in .*images"):
        read_yolo_annotations(tmp_path / "export")


def flat(folder: Path, texts: list[str], photos: list[str]) -> list[str]:
    """The images that are read of a set with a list of classes."""
    for name in photos:
        place = folder / "photos" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE).save(place, "PNG")
    for name in texts:
        place = folder / "export" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "export/classes.txt").write_text("car\n")
    return [image.file for image in read_yolo_annotations(folder / "export", folder / "photos").images]


@pytest.mark.parametrize(
    ("texts", "photos", "wanted"),
    [
        (["labels/a.txt"], ["s1/a.jpg", "s2/b.jpg"], ["s1/a.jpg"]),
        (["labels/1.txt"], ["1.Jpg"], ["1.Jpg"]),
        (["labels/0123abcd-a.txt"], ["s1/a.jpg"], ["s1/a.jpg"]),
        (["labels/1.txt", "labels/sub/1.txt"], ["1.jpg", "sub/1.jpg"], ["1.jpg", "sub/1.jpg"]),
        (["labels/a.b.txt"], ["a.b.jpg"], ["a.b.jpg"]),
        (["labels/1.txt", "labels/._1.txt", "labels/__MACOSX/labels/._1.txt"], ["1.jpg"], ["1.jpg"]),
    ],
)
def test_a_text_file_is_of_the_one_image_of_its_name(
    texts: list[str], photos: list[str], wanted: list[str], tmp_path: Path
) -> None:
    assert flat(tmp_path, texts, photos) == wanted


@pytest.mark.parametrize(
    ("texts", "photos", "wanted"),
    [
        (
            ["labels/1.txt"],
            ["1.jpg", "sub/1.jpg"],
            r"labels/1.txt: its image may be 1.jpg or sub/1.jpg in .*photos; rename one of the two, or give",
        ),
        (["labels/1.txt"], ["1.jpg", "1.png"], "may be 1.jpg or 1.png"),
        (["labels/sub/1.txt"], ["sub/1.jpg", "sub/1.png"], "may be sub/1.jpg or sub/1.png"),
        (["labels/2.txt"], ["1.jpg"], "no image for .*labels/2.txt in .*images or .*photos; put it there"),
        (["Labels/1.txt"], ["1.jpg"], "no text file in .*labels; put them there"),
    ],
)
def test_a_text_file_that_may_be_of_two_images_or_of_none_is_refused(
    texts: list[str], photos: list[str], wanted: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=wanted) as caught:
        flat(tmp_path, texts, photos)
    assert "--data" not in str(caught.value)


def test_images_of_a_set_may_lie_in_other_folders(tmp_path: Path) -> None:
    path = write_yolo(tmp_path, "names: [car, bus]\ntrain: images/train\n")
    names = [f"images/train/{file}.jpg\n" for file in "ab"]
    (tmp_path / "train.txt").write_text("".join(names))
    path.write_text("names: [car, bus]\ntrain: train.txt\n")
    (tmp_path / "photos/s1").mkdir(parents=True)
    for file in "ab":
        (tmp_path / f"images/train/{file}.jpg").rename(tmp_path / f"photos/s1/{file}.jpg")
    found = read_yolo_annotations(path, tmp_path / "photos").images
    assert [(image.file, objects(image)) for image in found] == [("s1/a.jpg", BOXES["a"]), ("s1/b.jpg", BOXES["b"])]
    (tmp_path / "photos/s2").mkdir()
    draw(tmp_path / "photos/s2", "a")
    with pytest.raises(DataError, match=r"images/train/a.jpg: the image may be s1/a.jpg or s2/a.jpg"):
        read_yolo_annotations(path, tmp_path / "photos")


def test_a_set_without_any_text_file_is_refused(tmp_path: Path) -> None:
    path = write_yolo(tmp_path)
    (tmp_path / "labels/train").rename(tmp_path / "labels/Train")
    assert [len(image.boxes) for image in read_yolo_annotations(path).images] == [0, 0, 0, 2, 1, 0]
    (tmp_path / "labels").rename(tmp_path / "Labels")
    wanted = r"own.yaml: none of 6 images has its text file, such as .*labels/train/a.txt; put the text files there"
    with pytest.raises(DataError, match=wanted):
        read_yolo_annotations(path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2 0.5 0.5 0.2 0.2", "has the class 2"),
        ("0 0.9 0.5 0.4 0.2", "c.jpg: the box .* lies outside"),
        ("\x00", "line 1 is"),
    ],
)
def test_what_is_wrong_with_a_text_file_is_named(text: str, wanted: str, tmp_path: Path) -> None:
    path = write_yolo(tmp_path)
    (tmp_path / "labels/train/c.txt").write_text(text)
    with pytest.raises(DataError, match=wanted) as caught:
        read_yolo_annotations(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "wanted"),
    [("", "own.yaml has none of train, val, test"), ("kpt_shape: [2, 3]", "own.yaml is a set of poses")],
)
def test_what_is_wrong_with_a_set_is_named(more: str, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=wanted):
        read_yolo_annotations(write_yolo(tmp_path, f"names: [car, bus]\n{more}\n"))


def test_a_text_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = write_yolo(tmp_path)
    (tmp_path / "labels/train/c.txt").write_bytes(b"\xff\xfe0\x00")
    with pytest.raises(DataError, match=r"c.txt is not text in UTF-8"):
        read_yolo_annotations(path)


def test_two_images_cannot_have_one_text_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.jpg and a.png would have one text file, a.txt"):
        write_yolo_annotations(tmp_path, [AnnotatedImage("a.jpg"), AnnotatedImage("a.png")], NAMES)


@pytest.mark.parametrize("file", ["../a.jpg", "/a.jpg"])
def test_nothing_is_written_outside_of_the_folder(file: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.jpg lies outside of the folder of images"):
        write_yolo_annotations(tmp_path / "out", [AnnotatedImage(file)], NAMES)
    assert not list(tmp_path.iterdir())


def test_folders_of_voc_are_read(tmp_path: Path) -> None:
    found = read_voc_annotations(write_voc(tmp_path) / "VOC2007")
    assert [(image.file, image.size) for image in found.images] == [("a", SIZE), ("b", SIZE), ("c", SIZE)]
    assert [objects(image) for image in found.images] == list(BOXES.values())


def voc(folder: Path, name: str, box: tuple[int, ...], head: str, label: str = "car") -> None:
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation>{head}<object><name>{label}</name><bndbox>{sides}</bndbox></object></annotation>")


SIZED = "<size><width>40</width><height>30</height></size>"


def test_what_tools_write_for_voc_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    voc(tmp_path, "1.xml", (0, 0, 40, 30), f"<filename>C:\\photos\\1.jpg</filename>{SIZED}")
    voc(tmp_path, "sub/2.xml", (1, 1, 900, 800), "<filename>2.png</filename>")
    for hidden in ("._1.xml", "__MACOSX/sub/._2.xml"):
        (tmp_path / hidden).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / hidden).write_bytes(b"\x00\x05\x16\x07")
    voc(tmp_path, "sub/3.xml", (1, 1, 900, 800), SIZED.replace("40", "0"))
    found = read_voc_annotations(tmp_path)
    assert [(image.file, image.size, objects(image)) for image in found.images] == [
        ("1.jpg", (40, 30), [("car", (0, 0, 40, 30))]),
        ("sub/2.png", None, [("car", (0, 0, 900, 800))]),
        ("sub/3", None, [("car", (0, 0, 900, 800))]),
    ]
    assert "1 box reaches beyond an image by a pixel at most" in caplog.text


@pytest.mark.parametrize(
    ("box", "label", "wanted"),
    [
        ((3, 1, 42, 30), "car", r"1.jpg: the box from \(2, 0, 42, 30\) lies outside its image of 40x30"),
        ((9, 1, 3, 30), "car", "1.jpg: the box .* has no area"),
        ((1, 1, 3, 30), " ", "1.xml: object 1 has no name"),
    ],
)
def test_what_is_wrong_with_a_file_of_voc_is_named(
    box: tuple[int, ...], label: str, wanted: str, tmp_path: Path
) -> None:
    voc(tmp_path, "1.xml", box, f"<filename>1.jpg</filename>{SIZED}", label)
    with pytest.raises(DataError, match=wanted):
        read_voc_annotations(tmp_path)


def test_an_inverted_box_is_refused_without_a_size(tmp_path: Path) -> None:
    voc(tmp_path, "1.xml", (9, 1, 3, 30), "<filename>1.jpg</filename>")
    with pytest.raises(DataError, match=r"1.jpg: the box from \(8, 0, 3, 30\) has no area"):
        read_voc_annotations(tmp_path)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("column", ["file", "path"])
def test_tables_are_read(form: str, column: str, tmp_path: Path) -> None:
    images = chosen()
    table = pd.DataFrame(
        {
            "rank": [1, 2, 3],
            column: [*(image.file for image in images), "c.jpg"],
            "label": [*(image.choices[0] for image in images), None],
        }
    )
    path = tmp_path / f"labels.{form}"
    table.to_csv(path, index=False) if form == "csv" else table.to_parquet(path)
    found = read_label_table(path)
    assert list(found.images) == images
    assert (found.class_names, found.skipped) == ((), ("c.jpg",))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a,b\n1,2\n", "has the columns a, b; columns are file or path, and label"),
        ("file,label\n,car\n", "row 1 names no image"),
        ("file,label\na.jpg,car\na.jpg,bus\n", "a.jpg: the image is there twice"),
        ("file,label\na.jpg,car\nb.jpg,Car\n", "'Car' and 'car' differ in case"),
        (
            "file,label\na.jpg,caf\u00e9\nb.jpg,cafe\u0301\n",
            r"in two Unicode forms, 'cafe\\u0301' and 'caf\\xe9'; write it in one",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_named(text: str, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=wanted):
        read_label_table(tmp_path / "labels.csv")


def test_class_folders_are_read(tmp_path: Path) -> None:
    draw(tmp_path / "car", "ab")
    draw(tmp_path / "bus", "a")
    found = read_class_folders(tmp_path)
    assert [(image.file, image.choices) for image in found.images] == [
        ("bus/a.jpg", ("bus",)), ("car/a.jpg", ("car",)), ("car/b.jpg", ("car",))
    ]  # fmt: skip
    assert found.class_names == ("bus", "car")


def test_cells_that_are_not_there_count_as_skipped(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    cells = pd.DataFrame({"file": ["a.jpg", "b.jpg", "c.jpg"], "label": pd.array([3, None, 4], dtype="Int64")})
    cells.to_parquet(tmp_path / "nullable.parquet")
    cells.astype({"label": float}).to_parquet(tmp_path / "float.parquet")
    cells.convert_dtypes().astype({"label": "string"}).to_parquet(tmp_path / "string.parquet")
    for name in ("nullable", "float", "string"):
        found = read_label_table(tmp_path / f"{name}.parquet")
        assert [image.choices for image in found.images] == [("3",), ("4",)]
        assert found.skipped == ("b.jpg",)


def test_a_comma_at_the_end_of_a_row_moves_no_column(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n1.jpg,cat,\n2.jpg,dog,\n")
    assert [image.choices for image in read_label_table(tmp_path / "labels.csv").images] == [("cat",), ("dog",)]
