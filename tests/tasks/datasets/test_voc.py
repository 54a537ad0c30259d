"""VOC's files: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from voc_files import POOL, TEST, built, devkit, element, xml

from tasks.datasets.objects import Objects, fingerprint
from tasks.datasets.voc import load_split, read_objects
from tasks.errors import DataError


def read(tmp_path: Path, text: str | bytes, classes: tuple[str, ...] = ("cat", "car")) -> Objects:
    path = tmp_path / "000001.xml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_objects(path, classes)


def test_coordinates_start_at_one_and_include_the_last_pixel(tmp_path: Path) -> None:
    found = read(tmp_path, xml(element(), element("cat", (1, 1, 100, 80), "1")))
    assert found.boxes[0] == pytest.approx(np.array([0.1, 0.25, 0.5, 0.75]))
    assert found.boxes[1].tolist() == [0, 0, 1, 1]
    assert found.labels.tolist() == [1, 0]
    assert found.difficult.tolist() == [False, True]
    assert (found.width, found.height) == (100, 80)


def test_other_classes_are_background(tmp_path: Path) -> None:
    found = read(tmp_path, xml(element("dog"), element("car"), element("dog", (0, 0, 999, 999))))
    assert found.labels.tolist() == [1]
    assert read(tmp_path, xml(element("dog"))).boxes.shape == (0, 4)
    assert read(tmp_path, xml()).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (xml(element(box=(0, 1, 50, 60))), r"box xmin=0 ymin=1 xmax=50 ymax=60 lies outside its image of 100x80"),
        (xml(element(box=(1, 1, 101, 60))), "lies outside"),
        (xml(element(box=(1, 1, 50, 81))), "lies outside"),
        (xml(element(box=("nan", 1, 50, 60))), "lies outside"),
        (xml(element(box=(50, 1, 49, 60))), "has no area"),
        (xml(element(box=(50, 40, 60, 30))), "has no area"),
        (xml(element(box=("left", 1, 2, 3))), "not four numbers"),
        (xml(element().replace("<ymin>21</ymin>", "")), "not four numbers"),
        (xml(element())[:-9], "is not a VOC annotation"),
        ("", "is not a VOC annotation"),
        (b"\xff\xd8\xff\x00garbage", "is not a VOC annotation"),
        ("<annotation></annotation>", "is not a VOC annotation"),
        (xml(element(), width=0), "is not a VOC annotation"),
    ],
)
def test_what_is_wrong_with_an_annotation_is_said(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(DataError, match=f"000001.xml.*{reason}"):
        read(tmp_path, text)


def test_a_missing_annotation_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not found: .*gone.xml"):
        read_objects(tmp_path / "gone.xml", ("car",))


def test_voc_is_read_in_the_order_of_its_lists(tmp_path: Path) -> None:
    devkit(tmp_path, POOL, TEST)
    task = built(tmp_path)
    assert (task.pool_size, task.test_size, task.group_names) == (4, 1, ("cat", "car"))
    assert [each.labels.tolist() for each in task.annotations] == [[1], [], [1], [0], [0, 1]]
    assert task.groups(np.arange(5), np.arange(1)).int().tolist() == [[0, 1], [0, 0], [0, 0], [1, 0], [1, 1]]
    targets = task.targets(np.arange(5))
    assert (targets.labels >= 0).sum(1).tolist() == [1, 0, 0, 1, 2]
    assert targets.boxes[0, 0].tolist() == pytest.approx([6.4, 16, 32, 48])  # squeezed to 64 pixels
    raw = task.build_model().eval()(task.unlabeled.images(np.arange(5))).raw
    losses = task.unlabeled.losses(raw, targets)
    assert losses.isfinite().all()
    assert losses.min() > 0


def test_images_without_an_easy_object_can_be_left_out(tmp_path: Path) -> None:
    devkit(tmp_path, POOL, TEST)
    split = load_split(tmp_path / "VOCdevkit", ["2007/trainval", "2007/test"], ("cat", "car"), need_object=True)
    assert [file.stem for file in split.files] == ["a", "d", "e"]
    subset = load_split(tmp_path / "VOCdevkit", ["2007/trainval"], ("cat",), need_object=True)
    assert [file.stem for file in subset.files] == ["d"]
    assert fingerprint(split) != fingerprint(subset)


def test_the_fingerprint_reads_every_label(tmp_path: Path) -> None:
    prints = set()
    for text in (xml(element()), xml(element("cat")), xml(element(difficult="1")), xml(element(box=(11, 21, 50, 61)))):
        devkit(tmp_path, {"a": text}, TEST)
        split = load_split(tmp_path / "VOCdevkit", ["2007/trainval"], ("cat", "car"), need_object=False)
        prints.add(fingerprint(split))
    assert len(prints) == 4


def test_one_image_in_pool_and_test_is_refused(tmp_path: Path) -> None:
    devkit(tmp_path, POOL, TEST | {"d": POOL["d"]})
    with pytest.raises(DataError, match=r"d.jpg is in both the pool and the test"):
        built(tmp_path)


@pytest.mark.parametrize(
    ("gone", "reason"),
    [
        ("JPEGImages/b.jpg", "an image of VOC not found: .*b.jpg"),
        ("Annotations/c.xml", "a VOC annotation not found: .*c.xml"),
        ("ImageSets/Main/test.txt", "the list 2007/test not found"),
    ],
)
def test_missing_files_are_named(tmp_path: Path, gone: str, reason: str) -> None:
    (devkit(tmp_path, POOL, TEST) / gone).unlink()
    with pytest.raises(DataError, match=reason):
        built(tmp_path)


def test_of_a_list_of_one_class_the_images_count_that_show_it(tmp_path: Path) -> None:
    folder = devkit(tmp_path, POOL, TEST)
    names = list(POOL)
    marks = dict(zip(names, ("-1", " 1", " 0", " 1"), strict=True))
    (folder / "ImageSets/Main/car_trainval.txt").write_text("".join(f"{name} {mark}\n" for name, mark in marks.items()))
    found = load_split(tmp_path / "VOCdevkit", ("2007/car_trainval",), ("cat", "car"), need_object=False)
    assert [file.stem for file in found.files] == names[1:]
    (folder / "ImageSets/Main/car_trainval.txt").write_text(f"{names[0]} 2\n")
    with pytest.raises(DataError, match=f"has the line '{names[0]} 2'"):
        load_split(tmp_path / "VOCdevkit", ("2007/car_trainval",), ("cat", "car"), need_object=False)


def test_an_empty_list_and_a_missing_year_are_refused(tmp_path: Path) -> None:
    devkit(tmp_path, {}, TEST)
    with pytest.raises(DataError, match=r"trainval.txt names no image"):
        built(tmp_path)
    with pytest.raises(DataError, match=r"VOC 2012 not found: .*--data DIR"):
        built(tmp_path, pool=["2012/trainval"])


def test_damaged_images_are_named(tmp_path: Path) -> None:
    image = devkit(tmp_path, POOL, TEST) / "JPEGImages/c.jpg"
    whole = image.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no image"):
        image.write_bytes(content)
        with pytest.raises(DataError, match=r"c.jpg cannot be decoded"):
            built(tmp_path)
