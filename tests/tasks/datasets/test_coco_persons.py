"""Joints in COCO's form: what is read, what is left out and counted, and what is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Result
from joint_files import BOX, JOINTS, PLACES, RECIPE, animal, many, save_images, table, written
from pydantic import ValidationError

from tasks.datasets.coco.persons import counterparts
from tasks.errors import DataError
from tasks.kinds import build_task
from tasks.pose.task import PoseTask

CPU = torch.device("cpu")


def built(root: Path, pool: Any, test: Any = None, **changed: Any) -> PoseTask:
    return build_task(written(root, pool, test, **changed), root, root, CPU)


def test_joints_limbs_and_sides_come_from_the_file(tmp_path: Path) -> None:
    task = built(tmp_path, table(animal(), animal(moved=20)))
    assert (task.pool_size, task.test_size) == (2, 1)
    assert task.skeleton == (JOINTS, (0, 2, 1, 3), ((0, 1), (0, 2), (0, 3)))
    assert (task.skeleton.side("left"), task.skeleton.side("right")) == ([1], [2])
    assert task.label_counts(np.arange(3)) == dict.fromkeys(JOINTS, 3)
    assert build_task(task.settings, tmp_path, tmp_path, CPU).fingerprints == task.fingerprints


@pytest.mark.parametrize("frame", [1.25, 2.0])
def test_the_frame_is_a_square_around_the_box(frame: float, tmp_path: Path) -> None:
    (person,) = built(tmp_path, table(animal()), data={"frame": frame}).annotations[:1]
    side, middle = BOX[2] * frame, np.array([BOX[0] + BOX[2] / 2, BOX[1] + BOX[3] / 2])
    assert person.joints == pytest.approx((np.array(PLACES) + 0.5 - middle) / side + 0.5, abs=1e-6)
    assert person.box_size == pytest.approx(BOX[2] / side)
    assert person.visible.all()


def test_joints_lie_where_the_image_shows_them(tmp_path: Path) -> None:
    settings = {"model": {"stacks": 1, "width": 8, "pixels": 128, "depth": 1}}
    task = built(tmp_path, table(animal(moved=20)), **settings)
    image = task.unlabeled.frames(np.array([0]))[0, 0].float() - 40
    for x, y in task.annotations[0].joints:
        rows, columns = (slice(round(128 * place) - 3, round(128 * place) + 4) for place in (y, x))
        spot = image[rows, columns].clamp(min=0)
        places = torch.arange(7) + 0.5
        seen = [float((spot.sum(axis) * places).sum() / spot.sum()) for axis in (0, 1)]
        assert seen == pytest.approx([128 * x - columns.start, 128 * y - rows.start], abs=0.3)


def test_visibility_0_is_not_annotated_and_1_and_2_are(tmp_path: Path) -> None:
    (person,) = built(tmp_path, table(animal(visible=(0, 1, 2, 0)))).annotations[:1]
    assert person.visible.tolist() == [False, True, True, False]


def test_a_joint_outside_of_the_frame_is_not_visible(tmp_path: Path) -> None:
    far = [*animal()["keypoints"][:-3], 55, 45, 2]
    (person,) = built(tmp_path, table(animal(keypoints=far))).annotations[:1]
    assert person.visible.tolist() == [True, True, True, False]


def test_who_has_no_labeled_joint_and_crowds_are_left_out_with_a_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = [animal(visible=(0, 0, 0, 0)), animal(keypoints=[]), animal(iscrowd=1), animal(category_id=1)]
    assert built(tmp_path, table(animal(), *nobody)).pool_size == 1
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.endswith("2 persons without a labeled joint in the frame and 1 crowd left out, 1 person kept")


@pytest.mark.parametrize(
    ("joints", "twins"),
    [
        (("left_eye", "right_eye", "nose"), (1, 0, 2)),
        (("Right Hip", "neck", "Left Hip"), (2, 1, 0)),
        (("front_left_paw", "rear_left_paw", "front_right_paw"), (2, 1, 0)),
        (("upright", "left"), (0, 1)),
        (("a", "b"), (0, 1)),
    ],
)
def test_counterparts_are_found_by_name(joints: tuple[str, ...], twins: tuple[int, ...]) -> None:
    assert counterparts(joints) == twins


def test_it_is_said_when_no_joint_has_a_side(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    category = {"id": 4, "name": "cat", "keypoints": ["a", "b", "c", "d"]}
    task = built(tmp_path, *[table(animal(), categories=[category])] * 2)
    assert (task.skeleton.mirrored, task.skeleton.limbs) == ((0, 1, 2, 3), ())
    assert "has no joints of a left and a right side by their names" in caplog.text


def category(**changed: Any) -> dict[str, Any]:
    return {"id": 4, "name": "cat", "keypoints": list(JOINTS)} | changed


FAULTS: dict[str, tuple[Any, str]] = {
    "no joints": (table(animal(), categories=[{"id": 4, "name": "cat"}]), "no category of .* has joints; give one"),
    "several": (
        table(animal(), categories=[category(), category(id=5, name="dog")]),
        r"several categories of .* have joints: cat, dog; name one in task\.data\.coco\.category",
    ),
    "a joint twice": (table(animal(), categories=[category(keypoints=["a", "a"])]), "has the joint 'a' twice"),
    "a limb from 0": (table(animal(), categories=[category(skeleton=[[0, 1]])]), "limb from joint 0 to 1; joints are 1 to 4"),
    "other joints": (
        table(animal(), categories=[category(keypoints=["a", "b", "c", "d"])]),
        r"pool\.json and .*test\.json have other joints or limbs",
    ),
    "too few numbers": (table(animal(keypoints=[1, 2, 2])), r"1\.png, annotation 7 has 3 numbers for its joints, and 12"),
    "another visibility": (table(animal(visible=(2, 3, 2, 2))), "the visibility of a joint is not 0, 1 or 2"),
    "no number": (table(animal(keypoints=[1, 2, 2] * 3 + [1, 2, None])), "annotations, entry 0: keypoints"),
    "no box": (table({"id": 7, "image_id": 1, "category_id": 4}), "annotations, entry 0: bbox"),
    "a box outside": (table(animal(bbox=[30, 0, 40, 20])), r"the box from \(30, 0, 70, 20\) lies outside its image of 60x50"),
    "a box without area": (table(animal(bbox=[5, 0, 0, 20])), "has no area"),
    "a tiny box": (table(animal(bbox=[5, 0, 0.1, 0.1])), r"the frame has 0\.125 pixels"),
    "nobody": (table(), r"pool\.json has no person with a labeled joint"),
    "no JSON": ("[", r"the COCO file .*pool\.json cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_one_line(fault: str, tmp_path: Path) -> None:
    pool, line = FAULTS[fault]
    with pytest.raises(DataError, match=line) as caught:
        built(tmp_path, pool)
    assert "\n" not in str(caught.value)


def test_one_of_several_categories_is_named(tmp_path: Path) -> None:
    both = table(animal(), categories=[category(), category(id=5, name="dog")])
    assert built(tmp_path, both, both, files={"category": "cat"}).pool_size == 1
    with pytest.raises(DataError, match="has no category 'cow' with joints; there are cat, dog"):
        built(tmp_path, both, both, files={"category": "cow"})


def test_images_are_checked(tmp_path: Path) -> None:
    settings = written(tmp_path, table(animal()))
    (tmp_path / "pool/1.png").unlink()
    with pytest.raises(DataError, match=r"an image of the COCO file not found: .*pool/1\.png"):
        build_task(settings, tmp_path, tmp_path, CPU)
    with pytest.raises(DataError, match=r"1\.png is in both the pool and the test"):
        built(tmp_path, table(animal()), files={"pool_images": "test"})


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"normalized_by": "head"}, 'these data give no size of a head; set `normalized_by = "box"`'),
        ({"data": {"coco": None}}, "needs persons in COCO's form, which have boxes"),
        ({"data": {"scenes": {}}}, "scenes and coco are two sources of images"),
        ({"data": {"center_shift": 15.0}}, "center_shift is of MPII's form"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(changed: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=line):
        written(tmp_path, table(animal()), **changed)


def test_data_check_counts_who_shows_each_joint(tmp_path: Path, lossbench_cli: Callable[..., Result]) -> None:
    written(tmp_path, many(3) | {"annotations": [animal(1), animal(2, (0, 2, 2, 2)), animal(3, (0, 0, 0, 2))]})
    save_images(tmp_path / "test", table(animal()))
    recipe = ", ".join(f"{name} = {value!r}" for name, value in RECIPE.items())
    files = 'pool = "pool.json", pool_images = "pool", test = "test.json", test_images = "test"'
    lines = [
        'name = "own"', "version = 1", "budget = { initial = 2, step = 1, rounds = 1 }", "[task]", 'kind = "pose"',
        f"data = {{ coco = {{ {files} }}, validation = 0 }}", "model = { stacks = 1, width = 8, pixels = 32, depth = 1 }",
        'normalized_by = "box"', f"recipe = {{ {recipe} }}",
    ]  # fmt: skip
    (tmp_path / "own.toml").write_text("\n".join(lines))
    result = lossbench_cli("data", "check", tmp_path / "own.toml", "--data", tmp_path)
    assert result.code == 0, result
    rows = [line.split() for line in result.output.splitlines()]
    assert ["nose", "1", "1"] in rows
    assert ["tail", "3", "1"] in rows
