"""Label Studio: what it exports, and what it imports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from annotated_images import (
    JOINTS,
    NAMES,
    SIZE,
    assert_same_boxes,
    assert_same_points,
    assert_same_regions,
    blob,
    boxed,
    chosen,
    masked,
    pointed,
)

from tasks.datasets.tools.annotated import AnnotatedImage, Annotations
from tasks.datasets.tools.label_studio.brush import packed, unpacked
from tasks.datasets.tools.label_studio.exports import named_by, read_label_studio
from tasks.datasets.tools.label_studio.imports import write_labeling_config, write_tasks
from tasks.datasets.tools.shapes import decoded
from tasks.errors import DataError

STROKE = [
    0, 0, 18, 192, 57, 27, 255, 3, 71, 0, 203, 127, 249, 12, 3, 45, 255, 228, 48, 12, 183, 255, 144, 192, 39, 255, 195, 224, 24,
    207, 255, 33, 128, 79, 255, 135, 192, 49, 159, 254, 67, 0, 159, 255, 15, 128, 99, 63, 252, 134, 1, 63, 254, 31, 0, 198, 127,
    249, 12, 3, 45, 255, 228, 48, 12, 183, 255, 144, 192, 50, 223, 254, 67, 0, 203, 127, 249, 12, 3, 45, 255, 228, 48, 12, 183,
    255, 144, 192, 50, 223, 254, 67, 0, 203, 127, 252, 25, 108, 0,
]  # fmt: skip
"""What label-studio-sdk 2.1.2 writes of a mask of 40x30 pixels: rows 5 to 19 and columns 10 to 32, without 8 to 11 and 12 to 19."""
SIDES = {"original_width": 40, "original_height": 30}
COMMON = {**SIDES, "image_rotation": 0, "to_name": "image"}


def region(kind: str, name: str = "r", **fields: Any) -> dict[str, Any]:
    more = {key: fields.pop(key) for key in tuple(fields) if key in {"parentID", "image_rotation", "original_width"}}
    return {**COMMON, "id": name, "from_name": "tag", "type": kind, "value": fields, **more}


def rectangle(name: str = "r", **fields: Any) -> dict[str, Any]:
    sides = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["car"]}
    return region("rectanglelabels", name, **(sides | fields))


def choice(*names: str) -> dict[str, Any]:
    return {"id": "c", "from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": list(names)}}


def annotation(*results: dict[str, Any], day: int = 1, **fields: Any) -> dict[str, Any]:
    return {"id": day, "result": list(results), "was_cancelled": False, "ground_truth": False} | {
        "updated_at": f"2024-01-{day:02}T00:00:00.000000Z", **fields
    }  # fmt: skip


def task(*annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "data": data or {"image": "/data/upload/1/0123abcd-a.jpg"},
        "annotations": list(annotations),
        "drafts": [],
    }


def read(folder: Path, *tasks: object) -> Annotations:
    path = folder / "export.json"
    path.write_text(json.dumps(tasks))
    return read_label_studio(path)


def read_one(folder: Path, *results: dict[str, Any]) -> AnnotatedImage:
    (image,) = read(folder, task(annotation(*results))).images
    return image


def test_every_kind_of_region_is_read_in_pixels(tmp_path: Path) -> None:
    found = read_one(
        tmp_path,
        rectangle(),
        region("polygonlabels", "p", points=[[0, 0], [50, 0], [50, 50], [0, 50]], closed=True, polygonlabels=["road"]),
        region("brushlabels", "b", format="rle", rle=STROKE, brushlabels=["road"]),
        region("keypointlabels", "k", x=25, y=50, width=0.5, keypointlabels=["head"]),
        choice("day", "wet"),
    )
    assert (found.file, found.size, found.choices) == ("a.jpg", (40, 30), ("day", "wet"))
    assert found.boxes == (("car", 4, 6, 16, 18, None),)
    assert found.points == (("head", 10, 15, 0),)
    outline, stroke = (decoded(each.mask) for each in found.regions)
    assert outline.sum() == 20 * 15
    assert outline[:15, :20].all()
    assert stroke.sum() == 15 * 23 - 4 * 8


def test_a_turned_rectangle_becomes_the_upright_box_around_it(tmp_path: Path) -> None:
    # 16 x 3 pixels from (20, 15), turned by 90 degrees around its first corner: 3 wide, to the left, and 16 high
    found = read_one(tmp_path, rectangle(x=50, y=40, width=40, height=10, rotation=90))
    np.testing.assert_allclose(found.boxes[0][1:5], [17, 12, 20, 28], atol=1e-9)
    found = read_one(tmp_path, rectangle(x=50, y=40, width=20, height=20, rotation=30))
    wide, high = 8 * 3**0.5 / 2, 8 / 2
    np.testing.assert_allclose(found.boxes[0][1:5], [20 - 3, 12, 20 + wide, 12 + high + 6 * 3**0.5 / 2], atol=1e-9)


def test_the_box_around_a_turned_rectangle_ends_at_the_border(tmp_path: Path) -> None:
    # 10 x 10 pixels from (0, 10), turned by 45 degrees around its first corner: half of it lies left of the image
    found = read_one(tmp_path, rectangle(x=0, y=100 / 3, width=25, height=100 / 3, rotation=45))
    half = 10 / 2**0.5
    np.testing.assert_allclose(found.boxes[0][1:5], [0, 10, half, 10 + 2 * half], atol=1e-9)
    with pytest.raises(DataError, match=r"the box from \(-3.* lies outside its image of 40x30"):
        read_one(tmp_path, rectangle(x=-5, y=40, width=2, height=10, rotation=30))


def test_skipped_and_empty_annotations_are_what_they_are_there(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        task(annotation(), image="a.jpg"),
        task(annotation(rectangle(), was_cancelled=True), image="b.jpg"),
        task(image="c.jpg") | {"drafts": [annotation(rectangle())]},
        task(annotation(rectangle(), day=2, was_cancelled=True), annotation(choice("car")), image="d.jpg"),
    )
    assert [(image.file, image.choices, image.boxes) for image in found.images] == [
        ("a.jpg", (), ()),
        ("d.jpg", ("car",), ()),
    ]
    assert found.skipped == ("b.jpg", "c.jpg")
    assert found.class_names == ()


@pytest.mark.parametrize(("days", "truth", "wanted"), [((3, 1, 2), None, 3), ((1, 2, 3), None, 3), ((1, 3, 2), 1, 1)])
def test_ground_truth_or_the_latest_annotation_counts(
    days: Sequence[int], truth: int | None, wanted: int, tmp_path: Path
) -> None:
    annotations = [annotation(choice(f"class {day}"), day=day, ground_truth=day == truth) for day in days]
    (image,) = read(tmp_path, task(*annotations)).images
    assert image.choices == (f"class {wanted}",)


def test_an_address_becomes_the_path_of_the_image(tmp_path: Path) -> None:
    assert named_by("/data/local-files/?d=photos/a%20b/c.jpg") == "photos/a b/c.jpg"
    assert named_by("/data/upload/12/0123abcd-my-pic.jpg") == "my-pic.jpg"
    assert named_by("/data/upload/12/nothexad-my-pic.jpg") == "data/upload/12/nothexad-my-pic.jpg"
    assert named_by("https://example.com/x/%C3%A4.png?sig=1#2") == "x/ä.png"
    assert named_by("https://example.com/x.png?d=1") == "x.png"
    assert named_by("http://[not-an-address") == "http://[not-an-address"
    assert named_by("s3://bucket/x/y.jpg") == "x/y.jpg"
    found = read(
        tmp_path,
        task(annotation(), image="/data/upload/1/0123abcd-a.jpg", file="sub/a.jpg"),
        task(annotation(), photo="/data/upload/1/0123abcd-b.jpg", caption="text"),
    )
    assert [image.file for image in found.images] == ["sub/a.jpg", "b.jpg"]


def test_points_of_one_parent_are_of_one_person(tmp_path: Path) -> None:
    point = {"x": 25, "y": 50, "width": 0.5, "keypointlabels": ["head"]}
    found = read_one(
        tmp_path,
        rectangle("p1", rectanglelabels=["person"]),
        *(region("keypointlabels", f"k{n}", parentID=parent, **point) for n, parent in enumerate(("p1", "p2", "p1"))),
    )
    assert [each.person for each in found.points] == [0, 1, 0]


def test_labels_may_stand_in_a_result_of_their_own(tmp_path: Path) -> None:
    sides = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
    found = read_one(tmp_path, region("rectangle", **sides), region("labels", **sides, labels=["car"]))
    assert found.boxes == (("car", 4, 6, 16, 18, None),)


def test_choices_of_a_region_are_not_of_the_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sides = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
    found = read_one(
        tmp_path, rectangle(), region("choices", **sides, choices=["old"]), choice("new") | {"id": "r"}, choice("wet")
    )
    assert (found.choices, len(found.boxes)) == (("wet",), 1)
    assert "2 annotations of the type choices" in caplog.text


def test_what_is_not_read_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ellipse = region("ellipselabels", "e", x=50, y=50, radiusX=5, radiusY=5, ellipselabels=["car"])
    text = {"id": "t", "from_name": "note", "to_name": "image", "type": "textarea", "value": {"text": ["wet"]}}
    assert read_one(tmp_path, ellipse, text, text, rectangle()).boxes[0].label == "car"
    assert "1 annotation of the type ellipselabels" in caplog.text
    assert "2 annotations of the type textarea" in caplog.text


def test_an_image_with_nothing_but_what_is_not_read_is_skipped(tmp_path: Path) -> None:
    ellipse = region("ellipselabels", "e", x=50, y=50, radiusX=5, radiusY=5, ellipselabels=["car"])
    found = read(
        tmp_path, task(annotation(ellipse), image="a.jpg"), task(annotation(ellipse, rectangle()), image="b.jpg")
    )
    assert ([image.file for image in found.images], found.skipped) == (["b.jpg"], ("a.jpg",))


MINIMAL: list[dict[str, Any]] = [
    {
        "image": "/data/upload/1/0123abcd-im1.jpg", "id": 1,
        "boxes": [{"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["car"], **SIDES}],
        "brush": [{"format": "rle", "rle": STROKE, "brushlabels": ["road"], **SIDES}],
        "kp": [{"x": 25, "y": 50, "width": 0.5, "keypointlabels": ["head"], **SIDES}],
        "choice": "day", "annotator": 1, "annotation_id": 1, "updated_at": "2024-01-01T00:00:00.000000Z", "lead_time": 1.0,
    },
    {"image": "/data/upload/1/0123abcd-im2.jpg", "id": 2, "annotator": 1, "annotation_id": 2, "lead_time": 1.0},
    {
        "image": "/data/upload/1/0123abcd-im3.jpg", "file": "x/im3.jpg", "source": "camera", "id": 3, "choice": "day",
        "annotator": 1, "annotation_id": 3, "updated_at": "2024-01-03T00:00:00.000000Z",
    },
    {
        "image": "/data/upload/1/0123abcd-im3.jpg", "file": "x/im3.jpg", "source": "camera", "id": 3,
        "choice": {"choices": ["night", "wet"]}, "annotator": 2, "annotation_id": 4, "updated_at": "2024-01-04T00:00:00.000000Z",
    },
    {"image": "/data/upload/1/0123abcd-im5.jpg", "id": 5, "annotator": None, "annotation_id": None, "updated_at": None},
]  # fmt: skip
"""As label-studio-sdk 2.1.2 writes JSON-MIN."""


def test_json_min_gives_the_same(tmp_path: Path) -> None:
    found = read(tmp_path, *MINIMAL)
    assert [(image.file, image.choices) for image in found.images] == [
        ("im1.jpg", ("day",)), ("im2.jpg", ()), ("x/im3.jpg", ("night", "wet"))
    ]  # fmt: skip
    first = found.images[0]
    assert first.boxes == (("car", 4, 6, 16, 18, None),)
    assert first.points == (("head", 10, 15, 0),)
    assert decoded(first.regions[0].mask).sum() == 15 * 23 - 4 * 8
    assert found.skipped == ("im5.jpg",)


def test_two_texts_of_json_min_are_not_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has the texts choice, note; export it as JSON"):
        read(tmp_path, {"image": "a.jpg", "id": 1, "choice": "day", "note": "wet", "annotator": 1, "annotation_id": 1})


def test_json_min_in_another_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="entry 0: its keys are not in the order of Label Studio"):
        read(tmp_path, dict(sorted(MINIMAL[2].items())))


def test_the_choices_that_the_configuration_names_are_the_class(tmp_path: Path) -> None:
    entry = {"image": "a.jpg", "id": 1, "note": "wet", "choices": "day", "annotator": 1, "annotation_id": 1}
    assert read(tmp_path, entry).images[0].choices == ("day",)


def test_strokes_are_packed_as_they_are_unpacked() -> None:
    generator = np.random.default_rng(0)
    for pixels in (
        blob(),
        ~blob(),
        np.zeros((30, 40), bool),
        np.ones((300, 400), bool),
        generator.random((30, 40)) < 0.5,
    ):
        content = packed(pixels)
        assert all(0 <= byte < 256 for byte in content)
        assert (unpacked(bytes(content), pixels.shape[::-1]) == pixels).all()
    one_pixel, two_pixels = (f"1{0:02b}{4 * n - 1:03b}{255:08b}" for n in (1, 2))
    head = f"{4 * 2:032b}{7:05b}" + f"{2:04b}{3:04b}{7:04b}{15:04b}"
    for runs, right in ((one_pixel * 2, True), (two_pixels, True), (one_pixel + two_pixels, False)):
        content = int((head + runs).ljust(96, "0"), 2).to_bytes(12, "big")
        if right:
            assert unpacked(content, (2, 1)).tolist() == [[True, True]]
        else:
            with pytest.raises(ValueError, match="more values than it says"):
                unpacked(content, (2, 1))
    mask = unpacked(bytes(STROKE), (40, 30))
    assert mask[5:20, 10:33].sum() == mask.sum()


def answered(path: Path) -> Annotations:
    """The tasks after a person accepted every prediction."""
    tasks = json.loads(path.read_text())
    for number, each in enumerate(tasks):
        (prediction,) = each.pop("predictions")
        each |= {"id": number, "annotations": [annotation(*prediction["result"])]}
    path.write_text(json.dumps(tasks))
    return read_label_studio(path)


def test_tasks_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    images = [image._replace(file=f"{n}/{image.file}") for n, part in enumerate((boxed(), chosen(), pointed(), masked())) for image in part]  # fmt: skip
    path = tmp_path / "label_studio.json"
    write_tasks(
        path,
        images,
        [n / 10 for n in range(len(images))],
        model_version="m",
        prefix="photos/",
        data=[{"rank": 1}] * len(images),
    )
    tasks = json.loads(path.read_text())
    assert tasks[0]["data"] == {
        "image": "/data/local-files/?d=photos/0/sub%20dir/%C3%A4%26b.jpg", "file": "0/sub dir/ä&b.jpg", "rank": 1
    }  # fmt: skip
    assert [each["predictions"][0]["score"] for each in tasks] == [n / 10 for n in range(len(images))]
    assert tasks[0]["predictions"][0]["model_version"] == "m"
    assert tasks[0]["predictions"][0]["result"][0]["score"] == 0.75
    ids = [each["id"] for each in tasks[0]["predictions"][0]["result"]]
    assert len(set(ids)) == len(ids) == 2
    assert read_label_studio(path).skipped == tuple(image.file for image in images)
    found = answered(path).images
    for image, wanted in zip(found, images, strict=True):
        assert (image.file, image.choices) == (wanted.file, wanted.choices)
        assert_same_boxes(image, wanted, 1e-9)
        assert_same_points(image, wanted, 1e-9)
        assert_same_regions(image, wanted)


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("https://host/photos", "https://host/photos/a%20b.jpg"),
        ("https://host/photos/", "https://host/photos/a%20b.jpg"),
        ("https://host/get?file=", "https://host/get?file=a%20b.jpg"),
        ("", "a%20b.jpg"),
    ],
)
def test_a_slash_lies_between_address_and_file(address: str, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "label_studio.json"
    write_tasks(path, [AnnotatedImage("a b.jpg")], [0.5], model_version="m", address=address)
    assert json.loads(path.read_text())[0]["data"] == {"image": wanted, "file": "a b.jpg"}


def test_a_name_in_an_address_comes_back_without_the_key_file(tmp_path: Path) -> None:
    path = tmp_path / "label_studio.json"
    write_tasks(path, boxed(), [0.0, 1.0], model_version="m", prefix="photos/")
    tasks = json.loads(path.read_text())
    for each in tasks:
        del each["data"]["file"]
    path.write_text(json.dumps(tasks))
    assert [image.file for image in answered(path).images] == [f"photos/{image.file}" for image in boxed()]


def test_the_configuration_has_a_control_for_each_kind_of_shape(tmp_path: Path) -> None:
    path = tmp_path / "config.xml"
    write_labeling_config(path, ('a<"&', *NAMES), ["choices", "boxes", "points", "strokes", "outlines"])
    root = ET.fromstring(path.read_text())
    image, *controls = root
    assert (image.tag, image.get("value")) == ("Image", "$image")
    assert [each.tag for each in controls] == [
        "Choices",
        "RectangleLabels",
        "KeyPointLabels",
        "BrushLabels",
        "PolygonLabels",
    ]
    assert controls[0].get("choice") == "single"
    for control in controls:
        assert control.get("toName") == image.get("name")
        assert [each.get("value") for each in control] == ['a<"&', *NAMES]
    write_tasks(tmp_path / "t.json", [*boxed(), *chosen(), *pointed(), *masked()], [0.0] * 6, model_version="m")
    tasks = json.loads((tmp_path / "t.json").read_text())
    used = {each["from_name"] for one in tasks for each in one["predictions"][0]["result"]}
    assert used == {control.get("name") for control in controls} - {"outlines"}


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_label_studio_refuses_scores_outside_of_0_to_1(score: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"scores lie in \[0, 1\]"):
        write_tasks(tmp_path / "t.json", chosen(), [0.5, score], model_version="m")


def test_shapes_without_a_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"c\.jpg"):
        write_tasks(tmp_path / "t.json", [boxed()[0]._replace(size=None, file="c.jpg")], [0.0], model_version="m")
    assert not list(tmp_path.iterdir())


POINT = {"x": 25, "y": 50, "width": 0.5}
FAULTS: dict[str, tuple[object, str]] = {
    "no list": ({"a": 1}, "holds no list of tasks"),
    "a list of numbers": ([1], "holds no list of tasks"),
    "no image": ([task(annotation(), text="hello")], "names 0 images"),
    "two images": ([task(annotation(), left="a.jpg", right="b.jpg")], "names 2 images"),
    "an image twice": ([task(annotation()), task(annotation())], "a.jpg: the image is there twice"),
    "no class": ([task(annotation(rectangle(rectanglelabels=[])))], "a.jpg, region r has no class"),
    "a class that is a number": ([task(annotation(rectangle(rectanglelabels=[1])))], "region r has no class"),
    "classes alike": ([task(annotation(rectangle(), rectangle("s", rectanglelabels=["Car "])))], "'Car ' and 'car' differ in case"),
    "no width": ([task(annotation(rectangle(width="40")))], r"region r: x, y, width, height, rotation are"),
    "NaN": ([task(annotation(rectangle(x=float("nan"))))], "region r: x, y"),
    "a number of many digits": ([task(annotation(rectangle(x=10**400)))], "region r: x, y"),
    "no size": ([task(annotation(rectangle() | {"original_width": None}))], "region r: .*width and height, which are missing"),
    "a size of 0": ([task(annotation(rectangle() | {"original_width": 0}))], "original_width"),
    "two sizes": ([task(annotation(rectangle(), rectangle("s") | {"original_width": 50}))], "its regions say that the image has"),
    "a box outside": ([task(annotation(rectangle(x=80)))], r"a.jpg: the box from \(32, 6, 44, 18\) lies outside its image of 40x30"),
    "an inverted box": ([task(annotation(rectangle(width=-5)))], "a.jpg: the box .* has no area"),
    "a point outside": ([task(annotation(region("keypointlabels", keypointlabels=["a"], **(POINT | {"x": 125}))))], r"the point \(50, 15\) lies outside its image"),
    "an outline of two": ([task(annotation(region("polygonlabels", points=[[0, 0], [9, 9]], polygonlabels=["a"])))], "region r: an outline has 4 numbers"),
    "an outline outside": ([task(annotation(region("polygonlabels", points=[[0, 0], [9, 9], [200, 9]], polygonlabels=["a"])))], "region r: the outline .* lies outside"),
    "a stroke of another size": ([task(annotation(region("brushlabels", rle=STROKE, brushlabels=["a"], original_width=50)))], "brush strokes cannot be read .it has 1,200 pixels, and the image 50x30"),
    "a stroke that ends": ([task(annotation(region("brushlabels", rle=STROKE[:50], brushlabels=["a"])))], "ends before its last value"),
    "a stroke of texts": ([task(annotation(region("brushlabels", rle="AAAA", brushlabels=["a"])))], "brush strokes are 'AAAA'"),
    "a turned image": ([task(annotation(rectangle() | {"image_rotation": 90}))], "region r is on an image that was turned"),
    "a result that is a text": ([task({"result": "x"})], "entry 0: annotations.0.result"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_one_line(fault: str, tmp_path: Path) -> None:
    content, wanted = FAULTS[fault]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=wanted) as caught:
        read_label_studio(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_joints_are_classes_of_points(tmp_path: Path) -> None:
    write_labeling_config(tmp_path / "c.xml", JOINTS, ["points"])
    assert [each.get("value") for each in ET.parse(tmp_path / "c.xml").iter("Label")] == list(JOINTS)
    assert SIZE == (40, 30)
