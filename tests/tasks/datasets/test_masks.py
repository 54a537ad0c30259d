"""Folders of images and masks, and Cityscapes' layout: what is read, and what is refused with the file's name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mask_files import save_image, save_mask, written
from PIL import Image
from pydantic import ValidationError

from tasks.datasets.catalog import states
from tasks.datasets.masks import VOID, Numbering, cityscapes_numbering, decode_labels, load_cityscapes, load_folder
from tasks.errors import DataError
from tasks.images.decoding import decode_mask
from tasks.kinds import build_task

CPU = torch.device("cpu")


def test_folders_become_label_maps(tmp_path: Path) -> None:
    task = build_task(written(tmp_path, stored_pixels=16), tmp_path, tmp_path, CPU)
    assert (task.pool_size, task.test_size, task.group_names) == (2, 1, ("left", "right"))
    wanted = np.zeros((16, 16), int)
    wanted[:, 8:] = 1
    wanted[13:] = VOID  # the last of six rows: of 16, those whose centers lie in it
    assert task.annotations.shape == (3, 16, 16)
    assert all(np.array_equal(each, wanted) for each in task.annotations)
    assert set(task.fingerprints) == {"pool", "test"}
    assert task.fingerprints["pool"] != task.fingerprints["test"]


def test_masks_may_have_longer_names_and_a_palette(tmp_path: Path) -> None:
    save_image(tmp_path / "a" / "one.JPG", (2, 2))
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    mask = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    mask.putpalette([200, 0, 0, 0, 200, 0])
    mask.save(tmp_path / "one_L.png")
    found = load_folder(tmp_path / "a", tmp_path, "_L")
    assert decode_labels(found, 2, Numbering.of(("a", "b"), ())).tolist() == [[[0, 1], [1, 0]]]


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda root: (root / "a").rename(root / "c"), r"the folder of images not found: .*a"),
    "no image": (lambda root: [each.unlink() for each in (root / "a").iterdir()], r"no image in .*a; put JPEG"),
    "no mask": (lambda root: (root / "a-masks/one.png").unlink(), r"a mask not found: .*a-masks/one\.png"),
    "two images of one name": (lambda root: save_image(root / "a/one.png"), r"2 images named one; keep one"),
    "another size": (
        lambda root: save_mask(root / "a-masks/two.png", np.zeros((8, 6))),
        r"two\.png has 6x8 pixels, and its image has 8x6",
    ),
    "an unknown number": (
        lambda root: save_mask(root / "a-masks/two.png", np.full((6, 8), 7)),
        r"two\.png has the number 7, which is of no class; classes are numbered 0 to 1; name others in task\.data\.void",
    ),
    "colors": (
        lambda root: Image.new("RGB", (8, 6)).save(root / "a-masks/two.png"),
        r"two\.png holds no class numbers: its mode is RGB",
    ),
    "16 bits": (
        lambda root: Image.fromarray(np.zeros((6, 8), np.uint16)).save(root / "a-masks/two.png"),
        r"two\.png holds no class numbers: its mode is I;16",
    ),
    "a JPEG": (
        lambda root: Image.new("L", (8, 6)).save(root / "a-masks/two.png", "JPEG"),
        r"two\.png is a JPEG, which changes class numbers",
    ),
    "cut off": (
        lambda root: (root / "a-masks/two.png").write_bytes((root / "a-masks/two.png").read_bytes()[:50]),
        r"two\.png cannot be decoded",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_one_line_with_its_name(fault: str, tmp_path: Path) -> None:
    settings = written(tmp_path)
    spoil, line = FAULTS[fault]
    spoil(tmp_path)
    with pytest.raises(DataError, match=line) as caught:
        build_task(settings, tmp_path, tmp_path, CPU)
    assert "\n" not in str(caught.value)


def test_an_image_in_pool_and_test_is_refused(tmp_path: Path) -> None:
    settings = written(tmp_path, test=[{"images": "a", "masks": "a-masks"}])
    with pytest.raises(DataError, match=r"one\.jpg is in both the pool and the test"):
        build_task(settings, tmp_path, tmp_path, CPU)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for place in ("link", "a/../a"):
        settings = written(tmp_path, test=[{"images": place, "masks": "a-masks"}])
        with pytest.raises(DataError, match=r"one\.jpg is in both the pool and the test"):
            build_task(settings, tmp_path, tmp_path, CPU)


def test_a_grid_finer_than_the_prediction_is_refused(tmp_path: Path) -> None:
    settings = written(tmp_path)
    finer = settings.model_copy(update={"cells": settings.cells.model_copy(update={"grid": 99})})
    with pytest.raises(DataError, match=r"cells\.grid is 99, and the model's map has 8 cells a side; lower"):
        build_task(finer, tmp_path, tmp_path, CPU)


def write_cityscapes(root: Path, numbers: list[list[int]]) -> None:
    for split, city in (("train", "ulm"), ("train", "aachen"), ("val", "bonn")):
        name = f"{city}_000000_000019"
        save_image(root / f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", (2, 2))
        save_mask(root / f"gtFine/{split}/{city}/{name}_gtFine_labelIds.png", numbers)


def test_cityscapes_has_nineteen_classes_by_its_own_numbers(tmp_path: Path) -> None:
    write_cityscapes(tmp_path / "cityscapes", [[7, 33], [0, 29]])  # road, bicycle, unlabeled, caravan
    numbering = cityscapes_numbering()
    assert len(numbering.classes) == 19
    assert (numbering.classes[0], numbering.classes[18]) == ("road", "bicycle")
    train = load_cityscapes(tmp_path / "cityscapes", "train")
    assert [path.parent.name for path in train.images] == ["aachen", "ulm"]
    assert decode_labels(train, 2, numbering).tolist() == [[[0, 18], [VOID, VOID]]] * 2
    settings = written(tmp_path)
    table = settings.model_dump() | {"data": {"layout": "cityscapes", "validation": 0}}
    with pytest.raises(ValidationError, match="scenes"):
        type(settings).model_validate(table | {"data": table["data"] | {"scenes": {"pool": 8, "test": 4}}})
    task = build_task(type(settings).model_validate(table), tmp_path, tmp_path, CPU)
    assert (task.pool_size, task.test_size, len(task.group_names)) == (2, 1, 19)


def test_data_check_counts_frames_and_names_what_is_damaged(tmp_path: Path) -> None:
    write_cityscapes(tmp_path / "cityscapes", [[7, 33], [0, 29]])
    for name in ("train", "val", "test"):
        save_image(tmp_path / f"camvid/{name}/{name}.jpg", (2, 2))
        save_mask(tmp_path / f"camvid/{name}annot/{name}.png", [[0, 11], [10, 3]])
    found = {state.dataset.name: state for state in states(tmp_path)}
    assert found["CamVid"].text == "train 1 frames; val 1 frames; test 1 frames"
    assert found["Cityscapes"].text == "train 2 images; val 1 images"
    save_mask(tmp_path / "camvid/valannot/val.png", [[0, 12], [10, 3]])
    damaged = next(state for state in states(tmp_path) if state.damaged)
    assert damaged.text.startswith("damaged: the mask ")
    assert "val.png has the number 12" in damaged.text


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_gray_png_of_few_bits_holds_its_own_numbers(bits: int, tmp_path: Path) -> None:
    numbers = np.arange(8).reshape(2, 4) % 2**bits

    def part(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + _packed(row, bits) for row in numbers)
    header = struct.pack(">IIBBBBB", 4, 2, bits, 0, 0, 0, 0)
    parts = part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    (tmp_path / "mask.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    assert decode_mask(tmp_path / "mask.png").tolist() == numbers.tolist()


def _packed(row: np.ndarray, bits: int) -> bytes:
    """Numbers of so many bits, one after another, the first in the highest bits."""
    return int("".join(f"{number:0{bits}b}" for number in row), 2).to_bytes(len(row) * bits // 8, "big")
