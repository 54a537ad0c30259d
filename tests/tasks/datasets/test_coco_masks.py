"""Polygons and run lengths in COCO's form: what is drawn into label maps, and what is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mask_files import save_image
from pycocotools import mask as coco_mask
from pydantic import ValidationError
from region_files import ALL, HEIGHT, LEFT, RECIPE, TOP, WIDTH, region, table, written

from tasks.datasets.masks import VOID
from tasks.datasets.tools.shapes import decoded, from_runs
from tasks.errors import DataError
from tasks.kinds import build_task
from tasks.segmentation.task import SegmentationTask

CPU = torch.device("cpu")


def built(root: Path, *regions: dict[str, Any], **data: Any) -> SegmentationTask:
    settings = written(root, table(*regions), stored_pixels=24, **data)
    return build_task(settings, root, root, CPU)


def drawn(task: SegmentationTask) -> list[list[int]]:
    """The label map of the pool image in its own size: each of its pixels is 4 high and 3 wide here."""
    return task.annotations[0][1::4, 1::3].tolist()


def test_later_regions_are_in_front_and_the_rest_is_void(tmp_path: Path) -> None:
    task = built(tmp_path, region(3, [LEFT]), region(90, [TOP]))
    assert (task.pool_size, task.test_size, task.group_names) == (1, 1, ("car", "sky"))
    assert drawn(task) == [[1] * 8] * 2 + [[0] * 4 + [VOID] * 4] * 4
    task = built(tmp_path, region(90, [TOP]), region(3, [LEFT]))
    assert drawn(task) == [[0] * 4 + [1] * 4] * 2 + [[0] * 4 + [VOID] * 4] * 4
    assert task.label_counts(np.arange(2)) == {"car": 2, "sky": 2}


def test_a_background_takes_what_no_region_covers(tmp_path: Path) -> None:
    task = built(tmp_path, region(90, [TOP]), background="ground")
    assert task.group_names == ("ground", "car", "sky")
    assert drawn(task) == [[2] * 8] * 2 + [[0] * 8] * 4
    task = built(tmp_path, region(90, [TOP]), background="car")
    assert task.group_names == ("car", "sky")
    assert drawn(task) == [[1] * 8] * 2 + [[0] * 8] * 4


def test_regions_of_other_classes_count_as_uncovered(tmp_path: Path) -> None:
    task = built(tmp_path, region(90, [TOP]), region(3, [LEFT]), classes=["sky"], background="ground")
    assert task.group_names == ("ground", "sky")
    assert drawn(task) == [[0] * 4 + [1] * 4] * 2 + [[0] * 8] * 4


def test_crowds_are_void(tmp_path: Path) -> None:
    left = {"size": [HEIGHT, WIDTH], "counts": [0, 24, 24]}
    task = built(tmp_path, region(90, ALL), region(3, left, iscrowd=1), background="ground")
    assert drawn(task) == [[VOID] * 4 + [2] * 4] * 6


def test_a_region_may_have_several_polygons(tmp_path: Path) -> None:
    task = built(tmp_path, region(3, [TOP, [0, 5, 8, 5, 8, 6.5, 0, 6.5]]))
    assert drawn(task) == [[0] * 8] * 2 + [[VOID] * 8] * 3 + [[0] * 8], "beyond the border by half a pixel"


@settings(max_examples=60, deadline=None)
@given(mask=arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_run_lengths_are_those_of_pycocotools(mask: np.ndarray) -> None:
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(int)))
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    for given_counts in (encoded["counts"].decode(), counts):
        assert np.array_equal(decoded(from_runs(given_counts, mask.shape[::-1], "here")), mask)


def run_lengths(counts: object, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Callable[[], object]:
    return lambda: table(region(3, {"size": size, "counts": counts}))


FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "no JSON": (lambda: "{", r"the COCO file .*pool\.json cannot be read"),
    "no segmentation": (
        lambda: table({"id": 7, "image_id": 1, "category_id": 3}),
        r"pool\.json: annotations, entry 0: .*segmentation",
    ),
    "an empty segmentation": (lambda: table(region(3, [])), r"pool\.json, 1\.png, annotation 7 has no outline"),
    "two corners": (lambda: table(region(3, [[0, 0, 4, 4]])), r"an outline has 4 numbers; x and y of three"),
    "an x without y": (lambda: table(region(3, [[*LEFT, 1]])), r"an outline has 9 numbers"),
    "texts": (lambda: table(region(3, [["0", 0, 4, 4, 4, 0]])), r"pool\.json: annotations, entry 0"),
    "outside": (lambda: table(region(3, [[0, 0, 9.5, 0, 4, 6]])), r"lies outside its image of 8x6 pixels"),
    "far outside": (lambda: table(region(3, [[0, 0, -1e300, 0, 4, 6]])), r"the outline from \(-1e\+300, 0, 4, 6\) lies outside"),
    "run lengths of another size": (run_lengths([0, 48], (WIDTH, HEIGHT)), r"the mask is of 6x8 pixels, .* has 8x6"),
    "too few": (run_lengths([3, 2]), r"its mask (has .* pixels, and the image has 8x6|is no list of run lengths)"),
    "too many": (run_lengths([3, 2, 10**12]), r"its mask (has .* pixels, and the image has 8x6|is no list of run lengths)"),
    "below zero": (run_lengths([50, -2]), r"its mask (has .* pixels, and the image has 8x6|is no list of run lengths)"),
    "none": (run_lengths([]), r"its mask (has .* pixels, and the image has 8x6|is no list of run lengths)"),
    "another alphabet": (run_lengths("0é"), r"its mask is no list of run lengths"),
    "an endless number": (run_lengths("o" * 100_000), r"its mask is no list of run lengths"),
    "a number that is cut off": (run_lengths("0o"), r"its mask is no list of run lengths"),
    "an unknown image": (lambda: table(region(3, [LEFT], image=8)), r"annotation 7 is of image 8, which is not listed"),
    "an unknown category": (lambda: table(region(4, [LEFT])), r"annotation 7 is of category 4, which is not listed"),
    "no region": (lambda: table(), r"no image of .*pool\.json shows one of the classes"),
    "crowds alone": (lambda: table(region(3, [LEFT], iscrowd=1)), r"no image of .* shows one of the classes"),
    "a missing image": (lambda: table(region(3, [LEFT]), images=2), r"an image of the COCO file not found: .*pool/2\.png"),
    "other categories": (
        lambda: table(region(3, [LEFT]), categories=[{"id": 3, "name": "car"}]),
        r"pool\.json and .*test\.json have other categories",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_one_line(fault: str, tmp_path: Path) -> None:
    make, line = FAULTS[fault]
    settings = written(tmp_path, make())
    with pytest.raises(DataError, match=line) as caught:
        build_task(settings, tmp_path, tmp_path, CPU)
    assert "\n" not in str(caught.value)


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    settings = written(tmp_path, table(region(3, [LEFT])))
    save_image(tmp_path / "test/1.png", (9, 6))
    with pytest.raises(DataError, match=r"test/1\.png has 9x6 pixels, and .*test\.json says 8x6"):
        build_task(settings, tmp_path, tmp_path, CPU)


def test_an_image_in_both_files_is_refused(tmp_path: Path) -> None:
    settings = written(tmp_path, table(region(3, [LEFT])), test_images="pool")
    with pytest.raises(DataError, match=r"1\.png is in both the pool and the test"):
        build_task(settings, tmp_path, tmp_path, CPU)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"classes": ["care", "sky"]}, r"no class 'care' of task\.data\.classes; did you mean car"),
        ({"classes": ["sky"]}, r"there is one class alone, 'sky'; name another, such as that of the background"),
    ],
)
def test_classes_must_be_in_the_file(data: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=line):
        built(tmp_path, region(90, [LEFT]), **data)


def test_scenes_and_files_are_two_sources(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="layout and scenes are two sources of images"):
        written(tmp_path, table(), scenes={})


def test_images_without_a_region_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_image(tmp_path / "pool/2.png", (WIDTH, HEIGHT))
    task = build_task(written(tmp_path, table(region(3, [LEFT]), images=2)), tmp_path, tmp_path, CPU)
    assert task.pool_size == 2
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.endswith("pool.json: 1 image of 2 without a region of these classes")


def test_data_check_counts_the_images_of_each_class(tmp_path: Path, lossbench_cli: Callable[..., Result]) -> None:
    written(tmp_path, table(region(3, [LEFT]), region(3, [TOP], image=3), images=3))
    for number in (2, 3):
        save_image(tmp_path / f"pool/{number}.png", (WIDTH, HEIGHT))
    lines = [
        'name = "own"', "version = 1", "budget = { initial = 2, step = 1, rounds = 1 }", "[task]", 'kind = "segmentation"',
        'data = { layout = "coco", pool = "pool.json", pool_images = "pool", test = "test.json", test_images = "test", validation = 0 }',
        "model = { width = 4, channels = 8, pixels = 32 }", "cells = { grid = 2 }",
        "recipe = { " + ", ".join(f"{name} = {value!r}" for name, value in RECIPE.items()) + " }",
    ]  # fmt: skip
    (tmp_path / "own.toml").write_text("\n".join(lines))
    result = lossbench_cli("data", "check", tmp_path / "own.toml", "--data", tmp_path)
    assert result.code == 0, result
    rows = [line.split() for line in result.output.splitlines()]
    assert ["car", "2", "1"] in rows
    assert ["sky", "0", "1"] in rows
