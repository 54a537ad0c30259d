"""A form of data with other joints than MPII's: all that pose needs to know of them comes with the loaded list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mpii_files import CPU, MODEL, RECIPE, written
from PIL import ImageColor

from tasks.datasets.persons import Crop, Person, PoseList, Skeleton
from tasks.errors import DataError
from tasks.images.drawing import CELL_PIXELS, COLORS
from tasks.kinds import kind_named
from tasks.pose import sources
from tasks.pose import task as pose
from tasks.pose.label_noise import mislabeled
from tasks.pose.settings import PoseSettings

HANDS = Skeleton(("nose", "left hand", "right hand"), (0, 2, 1), ((0, 1), (0, 2)))
PLACES = np.array([[0.5, 0.25], [0.75, 0.5], [0.25, 0.75]], np.float32)
VISIBLE = np.array([True, True, False])


def a_list(images: Path, annotations: Path, **_: Any) -> PoseList:
    """Persons of three joints, of whom the pool and the test set have one each."""
    name = {"mpii_train": "one.jpg", "mpii_val": "two.jpg"}[annotations.stem]
    return PoseList(
        (Crop(images / name, 45.0, 45.0, 80.0),), (Person(PLACES, VISIBLE, 0.1, HANDS),), HANDS, annotations.stem
    )


def a_task(root: Path, **changed: Any) -> pose.PoseTask:
    written(root, [])
    given = {"kind": "pose", "data": {"validation": 0}, "model": MODEL | {"pixels": 64}, "recipe": RECIPE}
    return pose.PoseTask(PoseSettings.model_validate(given | changed), root, root, CPU)


@pytest.fixture(autouse=True)
def _other_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "load_list", a_list)


def test_it_is_trained_and_measured_with_its_own_joints(tmp_path: Path) -> None:
    task = a_task(tmp_path, counted_joints=[0, 1], flip_test=True, rotation_degrees=0.0, zoom=0.0)
    ids = np.zeros(16, dtype=np.int64)
    model = task.build_model().eval()
    with torch.no_grad():
        raw = model(task.unlabeled.images(ids)).raw
        judged = task.judged(model, ids, raw)
    assert raw.shape[2] == 3
    assert torch.allclose(judged, judged[:, :, [0, 2, 1]].flip(4), atol=1e-5), (
        "the images are black: nothing tells sides"
    )
    (predicted,) = task.predictions(raw)[:1]
    assert predicted.skeleton is HANDS
    assert task.metrics([raw], ids)["PCKh"] in {0.0, 0.5, 1.0}
    seen = task.augmented(ids, np.random.default_rng(0))[1].visible
    assert {tuple(row) for row in seen.tolist()} == {(True, True, False), (True, False, True)}


def test_its_sides_are_swapped_and_drawn() -> None:
    person = Person(PLACES, np.ones(3, dtype=bool), 0.1, HANDS)
    rng = np.random.default_rng(0)
    swapped = [mislabeled(person, 0.9, rng).joints for _ in range(20)]
    assert any(np.array_equal(joints[1:], PLACES[[2, 1]]) for joints in swapped)
    image = torch.zeros(3, CELL_PIXELS, CELL_PIXELS, dtype=torch.uint8)
    drawn = kind_named("pose").draw(image, person, ())
    for (x, y), color in zip((PLACES * CELL_PIXELS).astype(int), (COLORS[3], COLORS[1], COLORS[5]), strict=True):
        assert tuple(drawn[:, y, x].tolist()) == ImageColor.getrgb(color)


def test_a_protocol_may_count_only_joints_that_the_data_has(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"counted_joints: 3 is no joint; the data has joints 0 to 2; correct the"):
        a_task(tmp_path, counted_joints=[0, 3])
