"""`lossbench pick`: a round and a simulation from the command line, and bad input in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, the_line
from photo_folders import SMALL_MODEL, label_table, photographs
from PIL import Image

MARGIN = ("--strategy", "margin", "--budget", "3")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = photographs(tmp_path / "photos", 30)
    label_table(tmp_path / "labels.csv", names[:24])
    (tmp_path / "small.toml").write_text(SMALL_MODEL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_round_says_what_it_did(lossbench_cli: Callable[..., Result]) -> None:
    given = ("--unlabeled", "photos", "--labeled", "labels.csv", *MARGIN, "--settings", "small.toml")
    result = lossbench_cli("pick", *given, "--out", "round-1")
    assert result.code == 0, result.errors
    assert "30 images: 24 labels to train on, 0 near-duplicates left out" in result.output
    assert "Picks: round-1/picks.csv (3 images by margin)" in result.output
    again = lossbench_cli("pick", "--settings", "round-1/round.toml", "--out", "round-2")
    assert again.code == 0, again.errors
    assert Path("round-2/picks.csv").read_bytes() == Path("round-1/picks.csv").read_bytes()
    assert "round-1 exists already" in the_line(lossbench_cli("pick", *given, "--out", "round-1"))


def test_known_labels_answer_simulated_rounds(lossbench_cli: Callable[..., Result]) -> None:
    given = ("--unlabeled", "photos", "--oracle", "labels.csv", *MARGIN, "--rounds", "2", "--settings", "small.toml")
    result = lossbench_cli("pick", *given, "--out", "simulation")
    assert result.code == 0, result.errors
    assert "own-images · version 1 · shared track · accuracy" in result.output
    assert sorted(path.stem for path in Path("simulation/records").rglob("*.json")) == [
        "margin-shared-s0",
        "random-shared-s0",
    ]
    more = lossbench_cli(
        "run",
        "simulation/own-images.toml",
        "--data",
        ".",
        "--out",
        "simulation",
        "--strategy",
        "entropy",
        "--workers",
        "1",
    )
    assert more.code == 0, more.errors


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--unlabeled", "none", "--labeled", "labels.csv", *MARGIN), "there is no folder of images none"),
        (("--unlabeled", "photos", "--labeled", "none.csv", *MARGIN), "none.csv"),
        (("--unlabeled", "photos", "--labeled", "labels.csv", "--strategy", "margin"), "no budget; give one with --budget N"),
        (("--unlabeled", "photos", "--labeled", "labels.csv", *MARGIN, "--strategy", "badge"), "two strategies"),
        (("--unlabeled", "photos", *MARGIN), "no kind of task, and no label says which"),
        (("--unlabeled", "photos", "--kind", "classification", *MARGIN), "no class is known; name the classes"),
        (("--unlabeled", "photos", "--kind", "classification", "--classes", "a, A", *MARGIN), "'a' and 'A' differ in case"),
        (("--settings", "none.toml", *MARGIN), "none.toml cannot be read as TOML"),
    ],
    ids=["images", "labels", "budget", "two strategies", "kind", "classes", "alike classes", "settings"],
)  # fmt: skip
def test_what_is_missing_is_one_line(
    lossbench_cli: Callable[..., Result], options: tuple[str, ...], fault: str
) -> None:
    result = lossbench_cli("pick", *options, "--out", "round-1")
    assert result.code == 2
    assert fault in the_line(result)
    assert not Path("round-1").exists()


def test_images_that_cannot_be_read_are_counted_and_named(lossbench_cli: Callable[..., Result]) -> None:
    Path("photos/empty.png").touch()
    Path("photos/text.jpg").write_text("no image", encoding="utf-8")
    whole = Path("photos/000.png").read_bytes()
    Path("photos/cut.png").write_bytes(whole[: len(whole) // 2])
    given = ("--unlabeled", "photos", "--labeled", "labels.csv", *MARGIN, "--settings", "small.toml")
    line = the_line(lossbench_cli("pick", *given, "--out", "round-1"))
    assert line.startswith("3 of 33 images cannot be read: ")
    for name in ("empty.png", "text.jpg", "cut.png"):
        assert name in line


@pytest.mark.parametrize("mode", ["L", "I;16", "CMYK", "P", "LA", "RGBA"])
def test_images_of_any_mode_are_read(lossbench_cli: Callable[..., Result], mode: str) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new(mode, (50, 30)).save(f"photos/other.{suffix}")
    given = ("--unlabeled", "photos", "--labeled", "labels.csv", "--strategy", "random", "--budget", "7")
    result = lossbench_cli("pick", *given, "--settings", "small.toml", "--out", "round-1")
    assert result.code == 0, result.errors
    assert f"other.{suffix}" in Path("round-1/picks.csv").read_text(encoding="utf-8")
