"""CVAT's XML."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotated_images import (
    JOINTS,
    NAMES,
    accepted,
    assert_same_boxes,
    assert_same_points,
    assert_same_regions,
    boxed,
    chosen,
    masked,
    pointed,
)

from tasks.datasets.tools.annotated import AnnotatedImage, Annotations
from tasks.datasets.tools.cvat import read_cvat, write_cvat
from tasks.datasets.tools.shapes import decoded
from tasks.errors import DataError

LABELS = """<meta><task><labels><label><name>car</name><type>any</type></label><label><name>person</name><type>skeleton</type></label>
<label><name>head</name><type>points</type><parent>person</parent></label>
<label><name>hand</name><type>points</type><parent>person</parent></label>
</labels></task></meta>"""


def read(folder: Path, shapes: str, attributes: str = 'name="a.jpg" width="40" height="30"') -> Annotations:
    path = folder / "annotations.xml"
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{LABELS}'
        f'<image id="0" {attributes}>{shapes}</image></annotations>'
    )
    return read_cvat(path)


def read_one(folder: Path, shapes: str) -> AnnotatedImage:
    (image,) = read(folder, shapes).images
    return image


def test_boxes_masks_and_tags_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = read(
        tmp_path,
        """<box label="car" source="manual" occluded="1" xtl="2.00" ytl="3.50" xbr="12.25" ybr="13.00" z_order="0">
        <attribute name="color">red</attribute></box>
        <box label="car" xtl="10.00" ytl="10.00" xbr="20.00" ybr="14.00" rotation="90.00"/>
        <box label="car" outside="1" xtl="1" ytl="1" xbr="2" ybr="2"/>
        <polygon label="car" points="0.00,0.00;20.00,0.00;20.00,15.00;0.00,15.00" z_order="2"/>
        <mask label="road" rle="1, 4, 1" left="38" top="27" width="2" height="3" z_order="1"/>
        <polyline label="car" points="0,0;1,1"/><tag label="day" source="manual"/>""",
    )
    assert found.class_names == ("car", "head", "hand")
    (image,) = found.images
    assert (image.file, image.size, image.choices) == ("a.jpg", (40, 30), ("day",))
    np.testing.assert_allclose([box[1:5] for box in image.boxes], [[2, 3.5, 12.25, 13], [13, 7, 17, 17]], atol=1e-9)
    road, car = image.regions
    assert (road.label, car.label) == ("road", "car")
    assert decoded(road.mask)[27:, 38:].tolist() == [[False, True], [True, True], [True, False]]
    assert decoded(road.mask).sum() == 4
    assert decoded(car.mask).sum() == decoded(car.mask)[:15, :20].sum() == 300
    assert "1 shape of the kind polyline" in caplog.text


def test_the_box_around_a_turned_box_ends_at_the_border(tmp_path: Path) -> None:
    turned = '<box label="car" xtl="0" ytl="10" xbr="20" ybr="30" rotation="45"/>'  # its corners are 14.1 from (10, 20)
    (box,) = read_one(tmp_path, turned).boxes
    half = 200**0.5
    np.testing.assert_allclose(box[1:5], [0, 20 - half, 10 + half, 30], atol=1e-9)
    (box,) = read(tmp_path, turned, 'name="a.jpg"').images[0].boxes  # to be cut when the image is opened
    np.testing.assert_allclose(box[1:5], [10 - half, 20 - half, 10 + half, 20 + half], atol=1e-9)


def test_a_skeleton_is_a_person_and_so_is_a_group(tmp_path: Path) -> None:
    image = read_one(
        tmp_path,
        """<skeleton label="person"><points label="head" outside="0" occluded="1" points="5.00,6.00"/>
        <points label="hand" outside="1" occluded="0" points="0.00,0.00"/></skeleton>
        <skeleton label="person"><points label="head" outside="0" points="7.00,8.00"/></skeleton>
        <points label="hand" points="1.00,2.00;3.00,4.00" group_id="4"/><points label="head" points="9,9" group_id="4"/>""",
    )
    assert image.points == (
        ("head", 5, 6, 0), ("head", 7, 8, 1), ("hand", 1, 2, 2), ("hand", 3, 4, 2), ("head", 9, 9, 2)
    )  # fmt: skip


def test_an_image_without_shapes_shows_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "", 'name="x/a.jpg"')
    assert found[:3] == ((AnnotatedImage("x/a.jpg"),), ("car", "head", "hand"), ())
    assert found.listed("boxes") == ("car",)
    assert found.listed("points") == ("head", "hand")


def test_an_image_with_nothing_but_shapes_that_are_not_read_is_skipped(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """<ellipse label="car" cx="20" cy="20" rx="5" ry="5"/></image><image name="b.jpg">
        <ellipse label="car" cx="20" cy="20" rx="5" ry="5"/><box label="car" xtl="1" ytl="1" xbr="2" ybr="2"/></image>
        <image name="c.jpg">""",
    )
    assert [image.file for image in found.images] == ["b.jpg", "c.jpg"]
    assert found.skipped == ("a.jpg",)


def test_what_is_written_is_read_rounded_to_hundredths(tmp_path: Path) -> None:
    images = [image._replace(file=f"{n}/{image.file}") for n, part in enumerate((boxed(), chosen(), pointed(), masked())) for image in part]  # fmt: skip
    write_cvat(tmp_path / "a.xml", images, (*NAMES, *JOINTS))
    with pytest.raises(DataError, match=r"a.xml: its shapes are predictions, .*; import them into an annotation tool"):
        read_cvat(tmp_path / "a.xml")
    found = read_cvat(accepted(tmp_path / "a.xml"))
    assert found.class_names == (*NAMES, *JOINTS)
    for image, wanted in zip(found.images, images, strict=True):
        assert image[:3] == wanted[:3]
        assert_same_boxes(image, wanted, 0.00501)
        assert_same_points(image, wanted, 0.00501)
        assert_same_regions(image, wanted)


def box(**changed: str) -> str:
    sides = {"label": "car", "xtl": "1", "ytl": "1", "xbr": "9", "ybr": "9"} | changed
    return f"<box {' '.join(f'{name}={value!r}' for name, value in sides.items())}/>"


MASK = '<mask label="car" rle="{}" left="{}" top="0" width="2" height="2"/>'
FAULTS: dict[str, tuple[str, str]] = {
    "no label": (box(label=" "), "a.jpg, box 0 has no label"),
    "a word": (box(xtl="one"), "a.jpg, box 0: xtl, ytl, xbr, ybr are"),
    "NaN": (box(xtl="nan"), "box 0: xtl, ytl, xbr, ybr are"),
    "no side": (box(xtl=""), "box 0: xtl, ytl, xbr, ybr are"),
    "outside": (box(xbr="55"), r"a.jpg: the box from \(1, 1, 55, 9\) lies outside its image of 40x30"),
    "inverted": (box(xbr="0"), "has no area"),
    "labels alike": (box(label="CAR"), "'CAR' and 'car' differ in case"),
    "points without y": ('<points label="head" points="1;2"/>', "points 0: its points are '1;2'"),
    "a point outside": ('<points label="head" points="1,200"/>', r"the point \(1, 200\) lies outside"),
    "runs of words": (MASK.format("1, a", 0), "mask 0: its rle is '1, a'"),
    "no runs": (MASK.format("", 0), "mask 0: its rle is ''"),
    "too few runs": (MASK.format("1, 2", 0), "mask 0: its mask has 3 pixels, and its box 2x2"),
    "a negative run": (MASK.format("5, -1", 0), "mask 0: its mask has 4 pixels"),
    "a mask outside": (MASK.format("0, 4", 39), "lies outside its image of 40x30"),
    "an outline of two": ('<polygon label="car" points="1,1;2,2"/>', "an outline has 4 numbers"),
    "cut off": ("<box", "is not an export of CVAT"),
    "a second image": ('</image><image id="1" name="a.jpg">', "a.jpg: the image is there twice"),
    "an image without a name": ('</image><image id="1">', "image 1 has no name"),
    "a track": ('</image><track id="0" label="car"/><image name="b.jpg">', "holds tracks of a video"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_one_line(fault: str, tmp_path: Path) -> None:
    shapes, wanted = FAULTS[fault]
    with pytest.raises(DataError, match=wanted) as caught:
        read(tmp_path, shapes)
    assert "\n" not in str(caught.value)
    assert "annotations.xml" in str(caught.value)


def test_a_mask_needs_the_size_of_its_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mask 0: a mask needs the image's width and height"):
        read(tmp_path, MASK.format("0, 4", 0), 'name="a.jpg" width="0" height="30"')
