"""Data files that are wrong: each kind is refused with the file, the fault and one remedy."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from voc_files import TEST, built, devkit, element, xml

from tasks.datasets.mpii import load_list
from tasks.datasets.names import MPII_JOINTS
from tasks.datasets.voc import load_split
from tasks.errors import DataError, advising, require
from tasks.images.decoding import decode_squares, image_size

GOOD = xml(element())
ENTITIES = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
ANNOTATIONS = [
    ("difficult is a word", GOOD.replace(">0<", ">maybe<"), "an object's difficult is 'maybe'; write 0 or 1"),
    ("no name", GOOD.replace("car", ""), "an object has no name; name its class"),
    ("no name tag", GOOD.replace("<name>car</name>", ""), "an object has no name"),
    ("a width of many digits", GOOD.replace("100<", "9" * 5000 + "<"), "is not a VOC annotation (size/width is '999"),
    ("an underscore", GOOD.replace("11", "1_1"), "not four numbers"),
    ("another size", xml(element(), width=90), "has 100x80 pixels, and its annotation says 90x80; correct the"),
    ("another unit", xml(element(box=(2, 2, 9, 8)), width=10, height=8), "has 100x80 pixels, and its annotation says"),
    ("an unknown encoding", f'<?xml version="1.0" encoding="foo"?>{GOOD}', "is not a VOC annotation (unknown encoding"),
    ("entities that multiply", f'<!DOCTYPE l [<!ENTITY a "ha">{ENTITIES}]><annotation>&m;</annotation>', "amplification"),
    ("an outer file", f'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/hostname">]>{GOOD.replace("car", "&x;")}', "undefined"),
]  # fmt: skip
LISTS = [
    ("UTF-16", "a\n".encode("utf-16"), "is not text in UTF-8 (byte 0 is 0xff); save it as UTF-8"),
    ("Latin-1", b"a\nb\xe9\n", "is not text in UTF-8 (byte 3 is 0xe9)"),
    ("an image twice", b"a\nb\na\n", "names the image a twice; remove one of the two lines"),
    ("two words", b"a 2\nb -1\n", "has the line 'a 2'; write one name without a suffix"),
    ("a folder", b"../Annotations/a\n", "has the line '../Annotations/a'; write one name"),
    ("a NUL byte", b"a\0\n", "has the line 'a\\x00'; write one name"),
]
IMAGES = [
    ("another size", (50, 40), "has 50x40 pixels, and its annotation says 100x80"),
    ("a bomb", (60_000, 60_000), "cannot be decoded"),
    ("a large image", (10_000, 7_000), "has 10000x7000 pixels, more than 67,108,864); make it smaller"),
]
JOINTS = [[20.0 + 3 * number, 30.0 + 2 * number] for number in range(len(MPII_JOINTS))]
PERSON: dict[str, Any] = {"image": "a.jpg", "center": [50.0, 45.0], "scale": 0.4, "joints": JOINTS}
PERSON |= {"joints_vis": [1] * len(MPII_JOINTS), "head_size": 10.0}
NAN, INF = float("nan"), float("inf")
PERSONS = [
    ("a center that is NaN", {"center": [NAN, 45.0]}, "center.0: Input should be a finite number"),
    ("a center far away", {"center": [5000.0, 45.0]}, "the center 5000, 45 is far outside of the image of 100x80"),
    ("a center of texts", {"center": ["50", "45"]}, "center.0: Input should be a valid number"),
    ("an infinite scale", {"scale": INF}, "scale: Input should be a finite number"),
    ("a huge scale", {"scale": 900.0, "head_size": 9.0}, "the frame of a person has 225001x225001 pixels, more than"),
    ("a tiny scale", {"scale": 1e-6, "head_size": None}, "the frame has 0.00025 pixels; correct the scale"),
    ("a huge head", {"head_size": 1e300}, "a head of 1e+300 pixels does not fit a person of 80; correct it"),
    ("a tiny head", {"head_size": 1e-300}, "a head of 1e-300 pixels does not fit a person of 80; correct it"),
    ("a head that is NaN", {"head_size": NAN}, "head_size: Input should be"),
    ("half visible", {"joints_vis": [0.5] * len(MPII_JOINTS)}, "joints_vis.0: Input should be a multiple of 1"),
    (
        "joints far away",
        {"joints": [[1e300, 0.0]] * len(MPII_JOINTS)},
        "no visible joint in its frame; remove this person",
    ),
    ("a NUL byte", {"image": "a\0.jpg"}, "image: String should match pattern"),
    ("another folder", {"image": "../a.jpg"}, "the image '../a.jpg' lies outside of the folder of images"),
    ("a file of the system", {"image": "/etc/hostname"}, "lies outside of the folder of images"),
]
FILES = [
    ("nested lists", b"[" * 100_000, "is not JSON (lists or tables in it are nested too deeply)"),
    ("many digits", b"[" + b"9" * 5000 + b"]", "is not JSON (Exceeds the limit"),
    ("Latin-1", b'["\xe9"]', "is not JSON ('utf-8' codec can't decode"),
    ("a person twice", json.dumps([PERSON, PERSON]).encode(), "person 1 (a.jpg) is the same as person 0; remove one"),
    ("a key twice", b'[{"scale": 1, "scale": 2}]', "is not JSON (the key 'scale' is given twice)"),
]


def png(width: int, height: int) -> bytes:
    """A file that claims to be of this size."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 99))]
    chunks = (
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return devkit(tmp_path, {"a": GOOD, "b": xml(element("cat"))}, TEST)


def line_of(read: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        read()
    (line,) = str(caught.value).splitlines()
    assert line.count(";") <= 1 or "(" in line, "one remedy"
    return line


def read_voc(folder: Path) -> object:
    return load_split(folder.parent, ["2007/trainval"], ("cat", "car"), need_object=False)


def cases(table: list[tuple[str, Any, str]]) -> Any:
    return pytest.mark.parametrize(("given", "words"), [each[1:] for each in table], ids=[each[0] for each in table])


@cases(ANNOTATIONS)
def test_an_annotation_that_is_wrong(voc: Path, given: str, words: str) -> None:
    (voc / "Annotations/a.xml").write_text(given)
    line = line_of(lambda: read_voc(voc))
    assert words in line
    assert len(line) < 500


@cases(LISTS)
def test_a_list_that_is_wrong(voc: Path, given: bytes, words: str) -> None:
    (voc / "ImageSets/Main/trainval.txt").write_bytes(given)
    assert words in line_of(lambda: read_voc(voc))


@cases(IMAGES)
def test_an_image_that_is_wrong(voc: Path, given: tuple[int, int], words: str) -> None:
    (voc / "JPEGImages/a.jpg").write_bytes(png(*given))
    assert words in line_of(lambda: read_voc(voc))


def test_width_and_height_in_exchange_are_those_of_the_pixels(voc: Path) -> None:
    whole = load_split(voc.parent, ["2007/trainval"], ("cat", "car"), need_object=False)
    (voc / "Annotations/a.xml").write_text(xml(element(box=(11, 21, 50, 60)), width=80, height=100))
    swapped = load_split(voc.parent, ["2007/trainval"], ("cat", "car"), need_object=False)
    assert swapped.objects[0].boxes == pytest.approx(whole.objects[0].boxes)
    assert swapped.objects[0][3:] == (100, 80)
    (voc / "Annotations/a.xml").write_text(xml(element(box=(11, 21, 50, 90)), width=80, height=100))
    assert "its annotation says 80x100" in line_of(lambda: read_voc(voc))


def test_every_class_occurs(tmp_path: Path, voc: Path) -> None:
    assert voc.is_dir()
    line = line_of(lambda: built(tmp_path, classes=["cat", "cra", "car"]))
    assert line == "no image of the lists shows the class 'cra'; correct task.data.classes, or the lists"


@pytest.mark.parametrize("name", ["Annotations/a.xml", "ImageSets/Main/trainval.txt", "JPEGImages/a.jpg"])
def test_only_regular_files_are_read(voc: Path, name: str) -> None:
    path = voc / name
    path.unlink()
    os.mkfifo(path)
    assert "is no regular file" in line_of(lambda: read_voc(voc))
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "is no regular file" in line_of(lambda: read_voc(voc))


def test_pillow_runs_no_outside_program(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (9, 9)).save(content, "EPS")
    (tmp_path / "a.jpg").write_bytes(content.getvalue())
    assert "cannot be decoded" in line_of(lambda: image_size(tmp_path / "a.jpg"))


def read_pose(root: Path, content: bytes) -> object:
    (root / "a.json").write_bytes(content)
    Image.new("RGB", (100, 80)).save(root / "a.jpg")
    found = load_list(root, root / "a.json", center_shift=0.0, need_head=False, frame=1.25)
    return decode_squares([each.file for each in found.crops], 8, [each.box(1.0) for each in found.crops])


@cases(PERSONS)
def test_a_person_that_is_wrong(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    assert words in line_of(lambda: read_pose(tmp_path, json.dumps([PERSON | given]).encode()))


@cases(FILES)
def test_a_file_of_persons_that_is_wrong(tmp_path: Path, given: bytes, words: str) -> None:
    assert words in line_of(lambda: read_pose(tmp_path, given))


def test_an_advice_is_replaced_and_not_added_to() -> None:
    with pytest.raises(DataError, match=r"^a\.jpg is damaged; delete it$"), advising("delete it"):
        require(False, "a.jpg is damaged", "fetch the data again")
    with pytest.raises(DataError, match=r"^a\.jpg is damaged; fetch the data again$"), advising(None):
        require(False, "a.jpg is damaged", "fetch the data again")
