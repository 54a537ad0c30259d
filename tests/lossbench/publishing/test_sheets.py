"""Contact sheets: of rendered scenes alone, with every label in its place."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from fake_records import make_record
from PIL import Image
from tiny_tasks import KINDS

from leaderboard.schema.records import Record
from lossbench.publishing.sheets import COLUMNS, sheet
from lossbench.submissions.conformance import tiny_protocol
from tasks.datasets.scenes import render_detection_scene
from tasks.images.drawing import CELL_PIXELS, GAP_PIXELS
from tasks.kinds import kind_named


def record_of(kind: str, picked: tuple[int, ...] = tuple(range(20)), **changes: Any) -> Record:
    record = make_record(config=tiny_protocol(kind).model_dump(mode="json"), **changes)
    first = record.rounds[0].model_copy(update={"picked": picked})
    return record.model_copy(update={"rounds": (first, *record.rounds[1:])})


@pytest.mark.parametrize("kind", KINDS)
def test_a_sheet_has_the_first_and_the_last_picks(kind: str) -> None:
    found = sheet(record_of(kind))
    assert found is not None
    with Image.open(io.BytesIO(found.image)) as image:
        assert image.size == tuple(GAP_PIXELS + count * (CELL_PIXELS + GAP_PIXELS) for count in (COLUMNS, 2))
        shown = np.asarray(image.convert("RGB"), dtype=float)
    cells = np.concatenate([kind_named(kind).draw_scene(3, image).permute(1, 2, 0).numpy() for image in range(COLUMNS)])
    first = shown[GAP_PIXELS : GAP_PIXELS + CELL_PIXELS, GAP_PIXELS : GAP_PIXELS + CELL_PIXELS]
    assert np.abs(first - cells[:CELL_PIXELS]).mean() < 6, "a JPEG is not exact"
    assert "the last 6 of 20" in found.alt


def test_boxes_are_drawn_where_the_objects_are() -> None:
    scenes = [render_detection_scene(3, "pool", index) for index in range(60)]
    index = next(index for index, scene in enumerate(scenes) if len(scene.objects) == 1)
    plain = cv2.resize(scenes[index].image, (CELL_PIXELS, CELL_PIXELS), interpolation=cv2.INTER_NEAREST)
    changed = (kind_named("detection").draw_scene(3, index).permute(1, 2, 0).numpy() != plain).any(2)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    left, top, right, bottom = (each * CELL_PIXELS / len(scenes[index].image) for each in scenes[index].objects[0].box)
    assert (columns[0], rows[0], rows[-1]) == pytest.approx((left, top, bottom), abs=2)
    assert columns[-1] >= right - 2, "the name may be wider than the box"


@pytest.mark.parametrize("kind", KINDS)
def test_photographs_are_never_shown(kind: str) -> None:
    config = tiny_protocol(kind).model_dump(mode="json")
    config["task"]["data"]["scenes"] = None
    record = record_of(kind)
    assert sheet(record.model_copy(update={"config": config})) is None


@pytest.mark.parametrize(
    "config",
    [{}, {"task": 1}, {"task": {"kind": "pose"}}, {"task": {"kind": "../x", "data": {"scenes": {"seed": 1}}}}],
    ids=str,
)
def test_a_strangers_settings_draw_nothing(config: dict[str, Any]) -> None:
    assert sheet(record_of("pose").model_copy(update={"config": config})) is None
    spoiled = tiny_protocol("pose").model_dump(mode="json")
    spoiled["task"]["data"]["scenes"] = {"seed": -1}
    assert sheet(record_of("pose").model_copy(update={"config": spoiled})) is None


def test_picks_beyond_the_pool_draw_nothing() -> None:
    assert sheet(record_of("classification", (0, 10**9))) is None
    assert sheet(record_of("classification", ())) is None
