"""MPII annotation files: what is read of them, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpii_files import built, person, written
from PIL import Image

from tasks.datasets.mpii import load_list
from tasks.errors import DataError
from tasks.images.decoding import decode_squares


def loaded(root: Path, *, need_head: bool = False, center_shift: float = 0.0) -> Any:
    return load_list(
        root / "pose/images",
        root / "pose/annotations/mpii_train.json",
        center_shift=center_shift,
        need_head=need_head,
        frame=1.25,
    )


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in person().items() if name != key}


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ("[{]", "mpii_train.json is not JSON"),
        ("", "mpii_train.json is not JSON"),
        ([], "expected a list of persons"),
        ({"image": "one.jpg"}, "expected a list of persons"),
        ([person(), without("joints")], "person 1: joints: Field required"),
        ([without("scale")], "person 0: scale: Field required"),
        ([7], "person 0: the file: Input should be a valid dictionary"),
        ([person(joints=[[1, 2]] * 15)], "person 0: joints: Tuple should have at least 16 items"),
        ([person(joints_vis=[1] * 3)], "person 0: joints_vis: Tuple should have at least 16 items"),
        ([person(head_size="large")], "person 0: head_size: Input should be a valid number"),
        ([person(headbox=[1, 2, 3], image="one.jpg") | {"head_size": None}], "person 0: headbox.3: Field required"),
        ([person(joints_vis=[0] * 16)], r"person 0 \(one.jpg\) has no visible joint"),
        ([person(joints=[[900.0, 900.0]] * 16)], "has no visible joint"),
        ([person(scale=-0.1)], "person 0: scale: Input should be greater than 0"),
        ([person(scale=0)], "person 0"),
        ([person(joints=[[float("nan"), 1.0]] * 16)], "not finite"),
        ([person(image="three.jpg")], r"an image of a person not found: .*three.jpg"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, entries: object, reason: str) -> None:
    written(tmp_path, entries)
    with pytest.raises(DataError, match=reason):
        loaded(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not found: .*mpii_train.json.*--data DIR"):
        loaded(tmp_path)


def test_test_images_need_a_head_size_and_pool_images_do_not(tmp_path: Path) -> None:
    settings = written(tmp_path, [without("head_size")], [person(image="two.jpg") | {"head_size": 0}])
    assert np.isnan(loaded(tmp_path).persons[0].head_size)
    with pytest.raises(DataError, match="no head_size or headbox"):
        loaded(tmp_path, need_head=True)
    with pytest.raises(DataError, match=r"mpii_val.json, person 0 \(two.jpg\) has no head_size"):
        built(tmp_path, settings)


def test_a_headbox_gives_six_tenths_of_its_diagonal(tmp_path: Path) -> None:
    written(tmp_path, [without("head_size") | {"headbox": [10, 20, 40, 60]}])
    assert loaded(tmp_path, need_head=True).persons[0].head_size == pytest.approx(0.6 * 50 / (0.4 * 250))


def test_the_center_can_be_shifted_down(tmp_path: Path) -> None:
    written(tmp_path, [person()])
    straight, shifted = loaded(tmp_path), loaded(tmp_path, center_shift=15.0)
    assert shifted.crops[0].y - straight.crops[0].y == pytest.approx(15 * 0.4)
    assert shifted.crops[0].x == straight.crops[0].x
    gap = straight.persons[0].joints - shifted.persons[0].joints
    assert gap[:, 1] == pytest.approx(np.full(16, 15 * 0.4 / 100), abs=1e-6)


def test_one_image_in_pool_and_test_is_refused(tmp_path: Path) -> None:
    settings = written(tmp_path, [person(), person(image="two.jpg")])
    with pytest.raises(DataError, match=r"two.jpg is in both the pool and the test"):
        built(tmp_path, settings)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    settings = written(tmp_path, [person()])
    image = tmp_path / "pose/images/one.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 100, 3), dtype=np.uint8)).save(image)
    image.write_bytes(image.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"one.jpg cannot be decoded"):
        built(tmp_path, settings)
    image.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"one.jpg cannot be decoded"):
        built(tmp_path, settings)


def test_outside_of_the_image_is_black(tmp_path: Path) -> None:
    written(tmp_path, [person(center=[1.0, 1.0], joints=[[5.0, 5.0]] * 16)])
    Image.new("RGB", (100, 90), (200, 100, 50)).save(tmp_path / "pose/images/one.jpg", quality=95)
    crops = loaded(tmp_path).crops
    square = decode_squares([crop.file for crop in crops], 40, [crop.box(1.0) for crop in crops])[0]
    assert square[:, :18].max() == 0
    assert square[:, :, :18].max() == 0
    assert square[:, 30, 30].tolist() == pytest.approx([200, 100, 50], abs=4)
