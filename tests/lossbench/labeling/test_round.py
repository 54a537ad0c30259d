"""A labeling round: who is a candidate, what is picked, and what its folder holds."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from annotated_images import accepted
from photo_folders import CLASSES, SMALL_DETECTOR, SMALL_MODEL, box_of, label_table, photograph, photographs

from lossbench.config import ConfigError
from lossbench.files import parsed_toml
from lossbench.labeling import round as labeling_round
from lossbench.labeling.division import Division, unseen
from lossbench.labeling.outcome import Outcome
from lossbench.labeling.page import page
from lossbench.labeling.plan import Request, plan_round
from lossbench.labeling.round import LabelingRound
from lossbench.labeling.writing import COLUMNS, Addresses, picks_table, write_round
from tasks.datasets.labeled.folder import is_held_out
from tasks.datasets.tools.annotated import AnnotatedImage, LabeledBox
from tasks.datasets.tools.cvat import write_cvat
from tasks.datasets.tools.reading import read_annotations
from tasks.errors import DataError

CPU = torch.device("cpu")
PHOTOS, LABELED = 40, 30


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: 40 photographs, of which 30 are labeled; one has a near-duplicate."""
    names = photographs(tmp_path / "photos", PHOTOS)
    photograph(30).resize((36, 36)).save(tmp_path / "photos/twin.png")
    label_table(tmp_path / "labels.csv", names[:LABELED])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(strategy: str = "margin", budget: int = 5, labels: tuple[str, ...] = ("labels.csv",), **more: object):
    table = parsed_toml(SMALL_MODEL.encode()) | {"strategy": strategy, "budget": budget} | more
    return LabelingRound(plan_round(Request("photos", labels, "classification", CLASSES, table)), Path("cache"), CPU)


def test_tools_are_told_the_folder_as_it_was_given(folder: Path) -> None:
    (folder / "photos").rename(folder / "elsewhere")
    (folder / "photos").symlink_to(folder / "elsewhere")
    assert planned().folder == folder / "photos"


@pytest.fixture
def outcome() -> Outcome:
    return planned().run()


def test_picks_are_unlabeled_images_and_no_two_are_near_duplicates(outcome: Outcome) -> None:
    picked = [pick.file for pick in outcome.picks]
    assert len(set(picked)) == 5
    assert all(name > "029.png" for name in picked)
    everything = planned("random", 10).run()
    assert "twin.png" not in [pick.file for pick in everything.picks]
    assert everything.duplicates == 1
    (with_twin,) = [pick for pick in everything.picks if pick.left_out]
    assert (with_twin.file, with_twin.left_out) == ("030.png", ("twin.png",))


def test_tables_and_pages_name_a_few_near_duplicates_and_count_the_others(outcome: Outcome) -> None:
    names = tuple(f"copy-{number}.png" for number in range(1012))
    many = replace(outcome, picks=(outcome.picks[0]._replace(left_out=names),))
    shown = "; ".join([*names[:10], "and 1,002 more"])
    assert next(csv.DictReader(picks_table(many.picks).splitlines()))["near_duplicates"] == shown
    assert f"{names[9]}, and 1,002 more" in page(many)
    assert names[10] not in page(many)


def test_near_duplicates_are_candidates_where_none_is_to_be_left_out() -> None:
    everything = planned("random", 11, duplicate_bits=-1).run()
    assert everything.duplicates == 0
    assert "twin.png" in [pick.file for pick in everything.picks]


def test_a_near_duplicate_of_a_labeled_image_is_no_candidate(folder: Path) -> None:
    label_table(folder / "more.csv", ["030.png"])
    found = planned("random", 9, ("labels.csv", "more.csv")).run()
    assert found.duplicates == 1
    assert "twin.png" not in [pick.file for pick in found.picks]


def test_a_pick_says_why(outcome: Outcome) -> None:
    margins = [pick.margin for pick in outcome.picks]
    assert margins == sorted(margins)
    assert [pick.score for pick in outcome.picks] == pytest.approx([-margin for margin in margins], abs=1e-5)
    for pick in outcome.picks:
        assert math.isfinite(pick.predicted_loss)
        assert pick.nearest_labeled < "030.png"
        assert -1 <= pick.similarity <= 1.0001
        assert pick.prediction.choices[0] in CLASSES


def test_the_sizes_of_picks_alone_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind an address a file is loaded for its size; the survey of the unlabeled images needs none."""
    read: list[Path] = []
    size = labeling_round.image_size
    monkeypatch.setattr(labeling_round, "image_size", lambda file: read.append(file) or size(file))
    found = planned().run()
    assert [path.name for path in read] == [pick.file for pick in found.picks]
    assert [pick.prediction.size for pick in found.picks] == [size(pick.path) for pick in found.picks]
    assert sum(found.pool_classes.values()) == pytest.approx(1)


def test_a_held_out_image_whose_near_duplicate_is_trained_on_is_not_tested(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = planned()
    original = before.found.names[before.division.held_out[0]]
    copy = next(name for name in (f"{number:03}-copy.png" for number in range(100, 200)) if not is_held_out(name, 0.2))
    shutil.copy(folder / "photos" / original, folder / "photos" / copy)
    label_table(folder / "more.csv", [copy])
    found = planned(labels=("labels.csv", "more.csv")).run()
    count = len(before.division.held_out)
    assert (found.held_out, found.tested) == (count, count - 1)
    assert f"1 of {count} held-out images is a near-duplicate of training images" in caplog.text
    assert f"Measured on {count - 1} labeled images" in page(found)


def test_there_is_no_score_where_too_few_held_out_images_have_no_copy() -> None:
    division = Division(*(np.array(ids) for ids in ([0, 1], [2, 3, 4, 5, 6, 7], [8], [9])))
    groups = np.arange(10)
    assert unseen(groups, division).tolist() == [2, 3, 4, 5, 6, 7]
    groups[[3, 9]] = groups[1]
    assert unseen(groups, division).tolist() == [2, 4, 5, 6, 7]
    groups[4] = groups[0]
    assert unseen(groups, division).tolist() == []


def test_held_out_labels_stay_held_out_when_labels_are_added(folder: Path) -> None:
    before = planned()
    held_out = {before.found.names[image] for image in before.division.held_out}
    assert 5 <= len(held_out) < 12
    label_table(folder / "more.csv", [f"{number:03}.png" for number in range(30, 38)])
    after = planned(labels=("labels.csv", "more.csv"))
    later = {after.found.names[image] for image in after.division.held_out}
    assert held_out <= later
    assert {name for name in later if name < "030.png"} == held_out


def test_a_round_is_made_again_from_its_folder_and_is_the_same(outcome: Outcome) -> None:
    write_round(outcome, "choices", Path("round-1"), Addresses())
    shutil.rmtree("cache")
    settings = plan_round(Request(table=parsed_toml(Path("round-1/round.toml").read_bytes())))
    again = LabelingRound(settings, Path("cache"), CPU).run()
    write_round(again, "choices", Path("again"), Addresses())
    for name in ("picks.csv", "round.toml", "index.html", "label_studio.json"):
        assert Path("again", name).read_bytes() == Path("round-1", name).read_bytes()


def test_the_folder_of_a_round_has_a_table_a_page_and_files_for_tools(outcome: Outcome) -> None:
    write_round(outcome, "choices", Path("round-1"), Addresses("photos/"))
    rows = list(csv.DictReader(Path("round-1/picks.csv").read_text(encoding="utf-8").splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [row["path"] for row in rows] == [pick.file for pick in outcome.picks]
    tasks = json.loads(Path("round-1/label_studio.json").read_text(encoding="utf-8"))
    scores = [task["predictions"][0]["score"] for task in tasks]
    assert scores == sorted(scores, reverse=True)
    assert tasks[0]["data"]["image"].endswith(f"photos/{outcome.picks[0].file}")
    page = Path("round-1/index.html").read_text(encoding="utf-8")
    for pick in outcome.picks:
        assert pick.file in page
        assert Path("round-1", f"pictures/{pick.rank:05}.jpg").read_bytes().startswith(b"\xff\xd8")


def test_nothing_is_written_where_something_is_and_nothing_half(
    outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("round-1").mkdir()
    Path("round-1/note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="round-1 exists already; give another folder with --out"):
        write_round(outcome, "choices", Path("round-1"), Addresses())
    before = sorted(path.name for path in Path().iterdir())

    def broken(*_: object) -> bytes:
        raise OSError(28, "No space left on device", "pictures")

    monkeypatch.setattr("lossbench.labeling.writing.picture", broken)
    with pytest.raises(OSError, match="No space"):
        write_round(outcome, "choices", Path("round-2"), Addresses())
    assert sorted(path.name for path in Path().iterdir()) == before


def test_a_first_round_is_picked_on_pretrained_features_and_uncertainty_needs_labels() -> None:
    table = {"strategy": "typiclust", "budget": 4, "task": {"model": {
        "kind": "timm", "name": "tf_efficientnet_lite0", "weights": "package", "pixels": 32, "freeze": True,
    }}}  # fmt: skip
    first = LabelingRound(plan_round(Request("photos", (), "classification", CLASSES, table)), Path("cache"), CPU)
    found = first.run()
    assert (len(found.picks), found.trained_on, found.metrics) == (4, 0, {})
    assert not found.picks[0].prediction.choices
    write_round(found, "choices", Path("round-1"), Addresses())
    needs = plan_round(Request("photos", (), "classification", CLASSES, table | {"strategy": "margin"}))
    with pytest.raises(ConfigError, match=r"margin needs labels, and there are none yet; begin with .*typiclust"):
        LabelingRound(needs, Path("cache"), CPU).run()


@pytest.mark.parametrize(
    ("strategy", "budget", "fault"),
    [
        (
            "margin",
            11,
            r"11 images to pick, and 10 candidates \(1 of 11 are near-duplicates\); lower --budget, or leave none out: write duplicate_bits = -1",
        ),
        ("true-loss", 5, "true-loss reads the labels of candidates, which nobody knows here"),
        ("marginn", 5, "did you mean margin"),
    ],
    ids=["too many", "a strategy that cheats", "an unknown strategy"],
)
def test_a_round_that_cannot_be_made_says_why(strategy: str, budget: int, fault: str) -> None:
    with pytest.raises(Exception, match=fault):
        planned(strategy, budget).run()


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (
            "path,label\n000.png,disk\nabsent.png,bar\n",
            r"1 image labeled in labels.csv and not in photos: absent.png; names there are such as 000.png",
        ),
        ("path,label\n000.png,disc\n", r"classes that are not listed: 'disc' \(1 label; did you mean disk\?\)"),
    ],
    ids=["an image that is not there", "a class that is not listed"],
)
def test_labels_that_do_not_fit_the_images_are_named(folder: Path, table: str, fault: str) -> None:
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    with pytest.raises(DataError, match=fault):
        planned().run()


def test_one_name_in_two_folders_must_be_told_apart(folder: Path) -> None:
    for number, name in enumerate(("again", "more")):
        (folder / "photos" / name).mkdir()
        photograph(98 + number).save(folder / "photos" / name / "030.png")
    (folder / "photos/030.png").unlink()
    (folder / "labels.csv").write_text("path,label\n030.png,disk\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"030.png may be again/030.png or more/030.png"):
        planned().run()


def test_class_lists_may_grow(folder: Path) -> None:
    (folder / "more.csv").write_text("path,label\n030.png,star\n031.png,star\n", encoding="utf-8")
    table = parsed_toml(SMALL_MODEL.encode()) | {"strategy": "margin", "budget": 3}
    plan = plan_round(Request("photos", ("labels.csv", "more.csv"), table=table))
    assert LabelingRound(plan, Path("cache"), CPU).run().class_names == ("bar", "disk", "star")


def test_an_export_of_windows_names_its_images_with_backslashes(folder: Path) -> None:
    (folder / "more.csv").write_text("path,label\nC:\\data\\photos\\030.png,disk\n", encoding="utf-8")
    one = planned(labels=("labels.csv", "more.csv"))
    assert len(one.division.unlabeled) == PHOTOS - LABELED
    assert "030.png" not in [one.found.names[image] for image in one.division.unlabeled]


def test_a_round_of_boxes_goes_through_the_files_of_cvat(folder: Path) -> None:
    """CVAT without its server: what is drawn is written as CVAT exports it, and the next round is picked from that."""
    names = [f"{number:03}.png" for number in range(LABELED)]
    boxes = {name: tuple(40 * place for place in box_of(int(name[:3]))) for name in names}
    drawn = [
        AnnotatedImage(name, (40, 40), boxes=(LabeledBox(CLASSES[int(name[:3]) % 2], *boxes[name]),)) for name in names
    ]
    write_cvat(folder / "export.xml", drawn, CLASSES)
    accepted(folder / "export.xml")
    table = parsed_toml(SMALL_DETECTOR.encode()) | {"strategy": "entropy", "budget": 4}
    one = LabelingRound(plan_round(Request("photos", ("export.xml",), table=table)), Path("cache"), CPU)
    outcome = one.run()
    for image in one.division.training:
        objects = one.task.annotations[image]
        assert (40 * objects.boxes[0]).tolist() == pytest.approx(boxes[one.found.names[image]], abs=0.01)
        assert outcome.class_names[objects.labels[0]] == CLASSES[int(one.found.names[image][:3]) % 2]
    write_round(outcome, one.shape, Path("round-2"), Addresses())
    read = read_annotations(accepted(Path("round-2/cvat.xml"))).images
    assert [image.file for image in read] == [pick.file for pick in outcome.picks]
    assert read_annotations(Path("round-2/yolo"), Path("photos")).class_names == CLASSES
