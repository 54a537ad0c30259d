"""`lossbench data check PROTOCOL` counts what a protocol reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result
from PIL import Image

PROTOCOL = """
name = "own"
version = 1
budget = { initial = 4, step = 2, rounds = 2 }

[task]
kind = "classification"
data = { folder = "own", validation = 3 }
model = { width = 8 }
recipe = { epochs = 1, batch = 4, optimizer = "adamw", learning_rate = 1e-3 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, count in (("cat", 5), ("dog", 10)):
        for number in range(count):
            path = tmp_path / "data/own" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
    (tmp_path / "own.toml").write_text(PROTOCOL)
    return tmp_path


def test_it_counts_the_images_of_each_class(folder: Path, lossbench_cli: Callable[..., Result]) -> None:
    result = lossbench_cli("data", "check", folder / "own.toml", "--data", folder / "data")
    assert result.code == 0, result
    lines = [line.split() for line in result.output.splitlines()]
    assert lines[0] == [
        "own:",
        "12",
        "pool",
        "images,",
        "of",
        "which",
        "3",
        "are",
        "for",
        "validation,",
        "and",
        "3",
        "test",
        "images",
    ]
    assert ["cat", "4", "1"] in lines
    assert ["dog", "8", "2"] in lines


@pytest.mark.parametrize(
    ("protocol", "label"),
    [("scenes-classification", "disk"), ("scenes-detection", "disk"), ("scenes-pose", "head top")],
)
@pytest.mark.slow
def test_it_counts_labels_of_every_kind(protocol: str, label: str, lossbench_cli: Callable[..., Result]) -> None:
    result = lossbench_cli("data", "check", protocol)
    assert result.code == 0, result
    assert "2,000 pool images, of which 250 are for validation, and 500 test images" in result.output
    assert any(line.strip().startswith(label) for line in result.output.splitlines()), result.output


def test_a_budget_that_does_not_fit_is_said_below_the_counts(
    folder: Path, lossbench_cli: Callable[..., Result]
) -> None:
    (folder / "own.toml").write_text(PROTOCOL.replace("initial = 4", "initial = 40"))
    result = lossbench_cli("data", "check", folder / "own.toml", "--data", folder / "data")
    assert result.code == 2
    assert "12 pool images" in result.output
    assert "own: a budget of 42 labels is larger than the pool of 12 images less 3 for validation" in result.errors


@pytest.mark.parametrize("words", [("no-such",), ("own.toml", "more")])
def test_what_is_no_protocol_is_one_line(
    words: tuple[str, ...], lossbench_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = lossbench_cli("data", "check", *words)
    assert result.code == 2
    (line,) = result.errors.splitlines()
    assert line.startswith("lossbench: ")


def test_bad_images_are_named(folder: Path, lossbench_cli: Callable[..., Result]) -> None:
    for number in (1, 4):
        (folder / f"data/own/dog/{number}.png").write_bytes(b"")
    result = lossbench_cli("data", "check", folder / "own.toml", "--data", folder / "data")
    assert result.code == 2
    assert "2 of 15 images cannot be read" in result.errors
    assert "dog/1.png" in result.errors
    assert "dog/4.png" in result.errors
