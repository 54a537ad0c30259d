"""Images of one's own with one class each: folders, tables and torchvision's sets, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from command_line import Result
from PIL import Image
from sample_configs import written

from tasks.datasets.classes.class_files import class_folders, class_table, load_files
from tasks.datasets.classes.classified import held_out
from tasks.datasets.classes.torchvision_sets import PARTS, load_torchvision
from tasks.errors import DataError

COLORS = {"cat": (200, 40, 40), "dog": (40, 200, 40), "eel": (40, 40, 200)}
ROWS = [(f"{name}/{number}.png", name) for name in COLORS for number in range(5)]


def draw(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 9), COLORS.get(name, (0, 0, 0))).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images for each of three classes."""
    for path, name in ROWS:
        draw(tmp_path / "own" / path, name)
    return tmp_path / "own"


def write_table(folder: Path, rows: Sequence[Sequence[str]], header: str = "path,label") -> Path:
    lines = [header, *(",".join(row) for row in rows)]
    (folder / "own.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "own.csv"


def colors_match(images: object) -> bool:
    pixels, labels, names = images.pixels, images.labels, images.class_names  # pyright: ignore[reportAttributeAccessIssue]
    seen = [tuple(image[:, 4, 4].tolist()) for image in pixels]
    return seen == [COLORS[names[label]] for label in labels]


def test_class_folders_become_pool_and_test(folder: Path) -> None:
    (folder / "cat/deeper").mkdir()
    (folder / "cat/0.png").rename(folder / "cat/deeper/0.PNG")
    (folder / "cat/notes.txt").write_text("no image")
    (folder / ".cache").mkdir()
    found = load_files(class_folders(folder), 8, 0.2, folder)
    assert found.class_names == ("cat", "dog", "eel")
    assert found.pixels.shape == (15, 3, 8, 8)
    assert found.pool_size == 12
    assert np.bincount(found.labels[12:]).tolist() == [1, 1, 1], "a fifth of each class"
    assert colors_match(found)
    again = load_files(class_folders(folder), 8, 0.2, folder)
    assert again.fingerprint == found.fingerprint
    draw(folder / "dog/0.png", "eel")
    assert load_files(class_folders(folder), 8, 0.2, folder).fingerprint != found.fingerprint


def test_folders_of_both_splits_are_kept(folder: Path) -> None:
    for name in COLORS:
        draw(folder / "train" / name / "a.png", name)
        draw(folder / "train" / name / "b.png", name)
        draw(folder / "test" / name / "c.png", name)
    found = load_files(class_folders(folder), 8, 0.9, folder)
    assert (len(found.labels), found.pool_size) == (9, 6)
    assert colors_match(found)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_gives_paths_labels_and_splits(suffix: str, folder: Path) -> None:
    rows = [(path, name, "test" if path.endswith("4.png") else "train") for path, name in ROWS]
    file = write_table(folder, rows, "path,label,split")
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
        pd.read_csv(file).to_parquet(folder / "own.parquet")
        file = folder / "own.parquet"
    found = load_files(class_table(file), 8, 0.5, folder)
    assert (len(found.labels), found.pool_size) == (15, 12)
    assert colors_match(found)


def test_numbers_as_labels_are_names(folder: Path) -> None:
    numbers = {"cat": "07", "dog": "7", "eel": "NA"}
    found = load_files(class_table(write_table(folder, [(path, numbers[name]) for path, name in ROWS])), 8, 0.2, folder)
    assert found.class_names == ("07", "7", "NA")


def test_a_share_of_each_class_is_held_out() -> None:
    labels = np.repeat([0, 1, 2, 3], [100, 10, 2, 1])
    assert np.bincount(labels[held_out(labels, 0.2)], minlength=4).tolist() == [20, 2, 1, 0]
    assert held_out(labels, 0.2).tolist() == held_out(labels, 0.2).tolist()


FOLDER_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda root: root.rename(root.with_name("moved")), "the folder of class folders not found"),
    "no class": (
        lambda root: [path.rename(root.parent / path.name) for path in root.iterdir()],
        "no folder of a class",
    ),
    "an empty class": (lambda root: (root / "fox").mkdir(), "fox has no image"),
    "one split": (lambda root: (root / "train").mkdir(), "has no folder test"),
    "a zero-byte image": (lambda root: (root / "cat/3.png").write_bytes(b""), "cat/3.png cannot be decoded"),
    "a text": (lambda root: (root / "dog/1.png").write_text("hello"), "dog/1.png cannot be decoded"),
    "a class of one image": (lambda root: draw(root / "fox/1.png", "fox"), "fox has training images alone"),
    "names that differ in case": (lambda root: draw(root / "Cat/1.png", "cat"), "'Cat' and 'cat' differ in case"),
    "one class": (
        lambda root: [path.rename(root.parent / path.name) for path in root.iterdir() if path.name != "cat"],
        "one class alone: cat",
    ),
}


@pytest.mark.parametrize("fault", FOLDER_FAULTS)
def test_what_is_wrong_with_folders_is_one_line(fault: str, folder: Path) -> None:
    change, wanted = FOLDER_FAULTS[fault]
    change(folder)
    with pytest.raises(DataError, match=wanted) as caught:
        load_files(class_folders(folder), 8, 0.2, folder)
    assert "\n" not in str(caught.value)


def test_many_bad_images_are_summed_up(folder: Path) -> None:
    for path, _ in ROWS[:9]:
        (folder / path).write_bytes(b"")
    with pytest.raises(DataError, match=r"9 of 15 images cannot be read: .*cat/0.png.*; and 4 more; replace"):
        load_files(class_folders(folder), 8, 0.2, folder)


TABLE_FAULTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda root: root / "none.csv", "the table of images not found"),
    "no column of labels": (lambda root: write_table(root, ROWS, "path,class"), "no column 'label' among path, class"),
    "no rows": (lambda root: write_table(root, []), "has no rows"),
    "an empty file": (lambda root: write_table(root, [], ""), "cannot be read"),
    "an empty label": (lambda root: write_table(root, [*ROWS, ("cat/9.png", " ")]), "the label of row 16 is empty"),
    "a path twice": (lambda root: write_table(root, [*ROWS, ROWS[2]]), "has the path cat/2.png 2 times"),
    "an image that is not there": (
        lambda root: write_table(root, [*ROWS, ("a.png", "cat")]),
        "an image not found: .*a.png",
    ),
    "another split": (
        lambda root: write_table(root, [(*row, "val") for row in ROWS], "path,label,split"),
        "has the split 'val'; splits are train and test",
    ),
    "one split": (
        lambda root: write_table(root, [(*row, "train") for row in ROWS], "path,label,split"),
        "the class cat has training images alone",
    ),
    "an image in both splits": (
        lambda root: write_table(
            root,
            [*((*row, "train") for row in ROWS), *((f"./{path}", label, "test") for path, label in ROWS)],
            "path,label,split",
        ),
        "cat/0.png is in both the pool and the test",
    ),
    "white space around a class": (
        lambda root: write_table(root, [*ROWS, ("x.png", "cat ")]),
        "differ in case or white",
    ),
    "bytes": (lambda root: _bytes(root), "cannot be read"),
    "a broken Parquet file": (lambda root: _bytes(root, "own.parquet"), "cannot be read|pyarrow is not installed"),
}


def _bytes(root: Path, name: str = "own.csv") -> Path:
    (root / name).write_bytes(b"path,label\n\xff\xfe\x00,cat\n")
    return root / name


@pytest.mark.parametrize("fault", TABLE_FAULTS)
def test_what_is_wrong_with_a_table_is_one_line(fault: str, folder: Path) -> None:
    make, wanted = TABLE_FAULTS[fault]
    with pytest.raises(DataError, match=wanted) as caught:
        load_files(class_table(make(folder)), 8, 0.2, folder)
    assert "\n" not in str(caught.value)


class FakeSet:
    """As torchvision's data sets are used: images and class numbers by index."""

    classes = ("zero", "one")

    def __init__(self, root: str, train: bool, download: bool) -> None:
        if not Path(root).exists():
            msg = "Dataset not found. You can use download=True to download it"
            raise RuntimeError(msg)
        self.count = 4 if train else 2

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> tuple[Image.Image, int]:
        return Image.new("L", (5, 5), 100 * (row % 2)), row % 2


def test_a_set_of_torchvision_has_its_own_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.MNIST", FakeSet)
    found = load_torchvision("MNIST", tmp_path, 8, 0.2)
    assert (found.labels.tolist(), found.pool_size, found.class_names) == ([0, 1, 0, 1, 0, 1], 4, ("zero", "one"))
    assert found.pixels[1].unique().tolist() == [100]


def test_every_set_has_the_arguments_that_are_used() -> None:
    import inspect

    from torchvision import datasets

    for name, parts in PARTS.items():
        parameters = inspect.signature(getattr(datasets, name)).parameters
        allowed = set(parameters) | ({"train", "download"} if "kwargs" in parameters else set())
        for part in parts:
            assert {"root", "download", *part} <= allowed, name


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("SVNH", "did you mean SVHN"),
        ("MNIST", r"cannot read MNIST of torchvision .*lossbench data fetch MNIST"),
        ("SVHN", r"cannot read SVHN of torchvision"),
    ],
)
def test_a_set_that_is_not_there_is_one_line(name: str, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=wanted) as caught:
        load_torchvision(name, tmp_path / "none", 8, 0.2)
    assert "\n" not in str(caught.value)


PROTOCOL = """
name = "tiny"
version = 1
budget = {{ initial = 4, step = 2, rounds = 2 }}

[task]
kind = "classification"
data = {{ {data}, validation = 2 }}
model = {{ width = 8 }}
recipe = {{ epochs = 1, batch = 4, optimizer = "adamw", learning_rate = 1e-3 }}
"""


@pytest.mark.parametrize("data", ['folder = "own"', 'table = "own/own.csv"', 'torchvision = "MNIST"'])
def test_a_protocol_runs_on_every_form(
    data: str, folder: Path, lossbench_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(folder, ROWS)
    (folder.parent / "torchvision").mkdir()
    monkeypatch.setattr("torchvision.datasets.MNIST", FakeSet)
    monkeypatch.setattr(FakeSet, "__len__", lambda self: 5 * self.count)
    sweep = written(folder.parent, PROTOCOL.format(data=data), SWEEP)
    words = ("run", sweep, "--data", folder.parent, "--out", folder.parent / "out", "--workers", 1)
    result = lossbench_cli(*words)
    assert result.code == 0, result
    assert list((folder.parent / "out/records").rglob("margin-*.json"))


SWEEP = 'protocols = ["tiny"]\nstrategies = ["margin"]\nseeds = [0]\n'


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ('folder = "own", table = "own.csv"', "folder and table are two sources of images; keep one"),
        ('folder = ""', "task.data.folder"),
        ('folder = "own", test = 1.0', "task.data.test"),
        ('folder = "elsewhere"', "the folder of class folders not found"),
        ('folder = "own", forms = 1', "forms"),
    ],
)
def test_a_wrong_source_is_one_line(data: str, wanted: str, folder: Path, lossbench_cli: Callable[..., Result]) -> None:
    sweep = written(folder.parent, PROTOCOL.format(data=data), SWEEP)
    result = lossbench_cli("run", sweep, "--data", folder.parent, "--out", folder.parent / "out", "--workers", 1)
    assert result.code == 2
    (line,) = result.errors.splitlines()[-1:]
    assert line.startswith("lossbench: ")
    assert wanted in line


def test_images_are_read_in_the_size_of_the_model(folder: Path) -> None:
    found = load_files(class_folders(folder), 24, 0.2, folder)
    assert found.pixels.dtype == torch.uint8
    assert found.pixels.shape[-2:] == (24, 24)


def test_other_folders_beside_the_splits_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for place in ("Train/a", "Train/b", "val/a", "test/a", "test/b"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / place / "x.png")
    found = class_folders(tmp_path)
    assert found.splits == ("train", "train", "test", "test")
    assert "val beside train and test: not read" in caplog.text
