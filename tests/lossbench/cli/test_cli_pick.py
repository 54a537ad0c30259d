"""`lossbench pick`: a round and a simulation from the command line, and bad input in one line."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from command_line import Result, the_line
from photo_folders import SMALL_DETECTOR, SMALL_MODEL, label_table, photographs
from PIL import Image

from leaderboard.schema.records import read_record

MARGIN = ("--strategy", "margin", "--budget", "3")
GIVEN = ("--unlabeled", "photos", "--labeled", "labels.csv", "--settings", "small.toml")


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
    assert "30 images: 24 labeled images to train on, 0 near-duplicates left out" in result.output
    assert "Picks: round-1/picks.csv (3 images by margin)" in result.output
    again = lossbench_cli("pick", "--settings", "round-1/round.toml", "--out", "round-2")
    assert again.code == 0, again.errors
    assert Path("round-2/picks.csv").read_bytes() == Path("round-1/picks.csv").read_bytes()
    assert "round-1 exists already" in the_line(lossbench_cli("pick", *given, "--out", "round-1"))


def test_the_labels_of_each_class_are_counted_and_a_misspelled_one_is_said(
    lossbench_cli: Callable[..., Result],
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = Path("labels.csv").read_text(encoding="utf-8")
    Path("labels.csv").write_text(table.replace(",disk", ",Dissk", 1), encoding="utf-8")
    result = lossbench_cli("pick", *GIVEN, *MARGIN, "--out", "round-1")
    assert result.code == 0, result.errors
    assert "Labels: bar 12, disk 11, Dissk 1\n" in result.output
    assert caplog.text.count("the class 'Dissk' has one label; if it is 'disk' misspelled, correct it") == 1


def test_where_there_is_no_terminal_a_long_round_says_what_it_does(
    lossbench_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossbench.running.progress.SILENT_SECONDS", 0.0)
    given = ("--unlabeled", "photos", "--labeled", "labels.csv", *MARGIN, "--settings", "small.toml")
    lines = lossbench_cli("pick", *given, "--out", "round-1").output.splitlines()
    steps = [lines.index(line) for line in ("training on 24 labels", "margin picks from 6 candidates", "writing")]
    assert steps == sorted(steps)


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


def test_a_simulation_keeps_the_hyper_parameters_and_the_protocol_that_are_there(
    lossbench_cli: Callable[..., Result],
) -> None:
    Path("tuned.toml").write_text("strategy = 'dropquery'\nparameters = { passes = 2 }\n" + SMALL_MODEL)
    given = ("--unlabeled", "photos", "--oracle", "labels.csv", "--rounds", "2", "--settings", "tuned.toml")
    result = lossbench_cli("pick", *given, "--budget", "3", "--out", "simulation")
    assert result.code == 0, result.errors
    (path,) = Path("simulation/records").rglob("dropquery*.json")
    assert read_record(path).strategy_config["passes"] == 2
    before = Path("simulation/own-images.toml").read_bytes()
    line = the_line(lossbench_cli("pick", *given, "--budget", "4", "--out", "simulation"))
    assert "own-images.toml holds a simulation with other settings; give another folder with --out" in line
    assert Path("simulation/own-images.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("out", "cache", "fault"),
    [
        ("runs", None, "the cache runs/cache would lie in the round's folder runs"),
        (".", "../cache", ". is the working folder, which a round cannot replace"),
        ("../photos/round-1", "../cache", "../photos/round-1 would lie in "),
    ],
)
def test_a_folder_that_cannot_hold_a_round_is_refused_before_anything_is_computed(
    out: str, cache: str | None, fault: str, lossbench_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("empty").mkdir()
    monkeypatch.chdir("empty")
    given = ("--unlabeled", "../photos", "--labeled", "../labels.csv", "--settings", "../small.toml", *MARGIN)
    words = () if cache is None else ("--cache", cache)
    assert fault in the_line(lossbench_cli("pick", *given, "--out", out, *words))
    assert not list(Path().iterdir())


def test_rounds_are_of_simulations(lossbench_cli: Callable[..., Result]) -> None:
    line = the_line(lossbench_cli("pick", *GIVEN, *MARGIN, "--rounds", "5", "--out", "round-1"))
    assert "--rounds is of simulations" in line


@pytest.mark.parametrize("option", ["--cache", "--image-address", "--cluster"])
def test_options_of_a_round_mean_nothing_in_a_simulation(option: str, lossbench_cli: Callable[..., Result]) -> None:
    given = ("--unlabeled", "photos", "--oracle", "labels.csv", *MARGIN, "--settings", "small.toml")
    assert f"{option} and --oracle: " in the_line(lossbench_cli("pick", *given, "--out", "simulation", option, "x"))
    assert not Path("simulation").exists()


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
        (("--settings", "none.toml", *MARGIN), "there is no file of settings none.toml"),
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


def a_coco_file(path: Path, box: list[float], category: str = "bar", file: str = "000.png") -> None:
    content = {
        "images": [{"id": 1, "file_name": file, "width": 40, "height": 40}],
        "categories": [{"id": 1, "name": "disk"}, {"id": 2, "name": category}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "iscrowd": 0}],
    }
    path.write_text(json.dumps(content), encoding="utf-8")


def test_what_is_found_in_labels_is_said_once(
    lossbench_cli: Callable[..., Result], caplog: pytest.LogCaptureFixture
) -> None:
    a_coco_file(Path("labels.json"), [-1, -1, 42, 42])
    Path("photos/old.gif").touch()
    Path("det.toml").write_text(SMALL_DETECTOR, encoding="utf-8")
    given = ("--unlabeled", "photos", "--labeled", "labels.json", *MARGIN, "--settings", "det.toml")
    result = lossbench_cli("pick", *given, "--out", "round-1")
    assert result.code == 0, result.errors
    assert sorted(record.getMessage().removeprefix("lossbench: ") for record in caplog.records) == [
        "labels.json: 1 box reaches beyond an image by a pixel at most; what is outside is cut",
        "photos: 1 image in forms that are not read (.gif); convert them to JPEG or PNG",
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"new\nline.png", r"new\nline.png"), (b"\x01.png", r"\x01.png"), (b"\xff.png", r"\udcff.png")],
    ids=["a new line", "a control character", "not UTF-8"],
)
def test_file_names_that_files_for_tools_cannot_hold_are_shown(
    lossbench_cli: Callable[..., Result], name: bytes, shown: str
) -> None:
    try:
        Path("photos/000.png").rename(Path("photos", os.fsdecode(name)))
    except OSError:
        pytest.skip("this file system does not take the name")
    line = the_line(lossbench_cli("pick", *GIVEN, *MARGIN, "--out", "round-1"))
    assert "1 image in photos must be renamed" in line
    assert shown in line


def test_names_of_files_and_classes_are_escaped(lossbench_cli: Callable[..., Result]) -> None:
    evil = "<script>alert('\u00fc,\"&')"
    Path("photos/024.png").rename(f"photos/{evil}.png")
    table = Path("labels.csv").read_text(encoding="utf-8").replace(",bar", ',"' + evil.replace('"', '""') + '"')
    Path("labels.csv").write_text(table, encoding="utf-8")
    result = lossbench_cli("pick", *GIVEN, "--strategy", "margin", "--budget", "6", "--out", "round-1")
    assert result.code == 0, result.errors
    assert "<script" not in Path("round-1/index.html").read_text(encoding="utf-8")
    images = ET.parse("round-1/cvat.xml").getroot().findall("image")
    rows = list(csv.DictReader(Path("round-1/picks.csv").read_text(encoding="utf-8").splitlines()))
    assert f"{evil}.png" in [row["path"] for row in rows]
    assert [image.get("name") for image in images] == [row["path"] for row in rows]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--classes", "disk,bar,"), "--classes 'disk,bar,' has an empty name"),
        (("--classes", ""), "--classes '' has an empty name"),
        (("--classes", "disk,bar,disk"), "--classes 'disk,bar,disk' has 'disk' twice"),
        (("--settings", "none.toml"), "there is no file of settings none.toml"),
        (("--kind", "detection", "--settings", "det.toml"), "labels.csv holds choices, and no boxes"),
        (("--oracle", "labels.csv"), "--labeled and --oracle"),
        (("--labeled", "none.csv"), "there are no labels none.csv"),
        (("--labeled", "one.csv"), "'disk' is the only class"),
        (("--labeled", "twice.csv"), "twice.csv: 000.png and photos/000.png both mean 000.png"),
        (("--labeled", "control.json"), r"the class 'a\x00b' has control characters"),
        (("--out", "labels.csv/round"), "labels.csv/round cannot be made in "),
        (("--out", "link"), "link exists already"),
    ],
    ids=[
        "an empty class", "no class", "a class twice", "no settings", "labels of another kind", "two uses of labels", "no export", "one class",
        "an image twice", "a control character in a class", "a folder below a file", "a link to nowhere",
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line_before_anything_is_trained(
    lossbench_cli: Callable[..., Result], options: tuple[str, ...], fault: str
) -> None:
    Path("one.csv").write_text("path,label\n000.png,disk\n002.png,disk\n", encoding="utf-8")
    Path("twice.csv").write_text("path,label\n000.png,disk\nphotos/000.png,bar\n", encoding="utf-8")
    a_coco_file(Path("control.json"), [1, 1, 9, 9], "a\0b")
    Path("link").symlink_to("nowhere")
    Path("det.toml").write_text(SMALL_DETECTOR, encoding="utf-8")
    given = ("--unlabeled", "photos", *(() if "--labeled" in options else ("--labeled", "labels.csv")), *MARGIN)
    out = () if "--out" in options else ("--out", "round-1")
    line = the_line(lossbench_cli("pick", *given, "--settings", "small.toml", *options, *out))
    assert fault in line
    assert not Path("round-1").exists()
    assert not Path("runs/cache/models").exists()
