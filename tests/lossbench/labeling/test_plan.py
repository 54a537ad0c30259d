"""Settings of a round: what the labels decide, what the user decides, and what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from photo_folders import label_table, photographs

from lossbench.config import ConfigError
from lossbench.files import parsed_toml
from lossbench.labeling.plan import Request, plan_round, plan_simulation, settings_text
from lossbench.paths import shipped
from tasks.kinds import KINDS
from tasks.models import weights

WHO = {"strategy": "random", "budget": 5}


@pytest.fixture
def labels(tmp_path: Path) -> str:
    return str(label_table(tmp_path / "labels.csv", photographs(tmp_path / "photos", 12)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.shape], ids=lambda kind: kind.name)
def test_every_kind_that_can_be_labeled_has_usual_settings(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request("photos", (), kind.name, ("left eye", "right eye"), WHO)
    usual = plan_round(request)
    assert usual.task.kind == kind.name
    assert usual.task.model.freeze  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda _: None)
    small = plan_round(request)
    assert getattr(small.task.model, "weights", "none") == "none"  # pyright: ignore[reportAttributeAccessIssue]
    assert small.task.recipe != usual.task.recipe


def test_the_labels_say_the_kind_and_a_kind_that_is_named_wins(labels: str) -> None:
    assert plan_round(Request("photos", (labels,), table=WHO)).task.kind == "classification"
    assert plan_round(Request("photos", (labels,), "detection", ("a",), WHO)).task.kind == "detection"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"segmentation": [[1, 1, 9, 1, 9, 9]]}, "segmentation"),
        ({"keypoints": [5, 5, 2], "num_keypoints": 1}, "pose"),
        ({}, "detection"),
    ],
    ids=["regions", "joints", "boxes"],
)
def test_boxes_around_regions_and_joints_are_no_other_kind(tmp_path: Path, more: dict[str, Any], kind: str) -> None:
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "iscrowd": 0, **more}
    category = {"id": 1, "name": "a", **({"keypoints": ["nose"]} if kind == "pose" else {})}
    image = {"id": 1, "file_name": "a.png", "width": 40, "height": 40}
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"images": [image], "categories": [category], "annotations": [annotation]}))
    assert plan_round(Request("photos", (str(path),), table=WHO)).task.kind == kind


def test_more_labels_have_fewer_epochs(tmp_path: Path) -> None:
    few = label_table(tmp_path / "few.csv", [f"{number:03}.png" for number in range(200)])
    many = label_table(tmp_path / "many.csv", [f"{number:03}.png" for number in range(201)])
    epochs = [plan_round(Request("photos", (str(path),), table=WHO)).task.recipe.epochs for path in (few, many)]
    assert epochs == [100, 30]


def test_labels_that_a_later_export_withdraws_are_not_counted(tmp_path: Path) -> None:
    many = label_table(tmp_path / "many.csv", [f"{number:03}.png" for number in range(201)])
    (tmp_path / "later.csv").write_text("path,label\n000.png,\n")
    task: Any = plan_round(Request("photos", (str(many), str(tmp_path / "later.csv")), table=WHO)).task
    assert task.recipe.epochs == 100


def test_what_the_user_says_of_the_model_replaces_the_usual_model(labels: str) -> None:
    table = WHO | {"task": {"model": {"kind": "resnet18", "width": 8}, "recipe": {"epochs": 3}}}
    task: Any = plan_round(Request("photos", (labels,), table=table)).task
    assert (task.model.kind, task.model.width, task.recipe.epochs) == ("resnet18", 8, 3)


def test_a_round_is_planned_again_from_its_settings(labels: str) -> None:
    plan = plan_round(Request("photos", (labels,), table=WHO | {"parameters": {}, "seed": 3}))
    again = plan_round(Request(table=parsed_toml(settings_text(plan).encode())))
    assert again == plan


def test_a_validation_slice_is_not_left_out_unsaid(labels: str, caplog: pytest.LogCaptureFixture) -> None:
    plan_round(Request("photos", (labels,), table=WHO | {"task": {"data": {"validation": 0}}}))
    assert not caplog.messages
    found: Any = plan_round(Request("photos", (labels,), table=WHO | {"task": {"data": {"validation": 10}}}))
    assert found.task.data.validation == 0
    assert "task.data.labeled.held_out says what share" in caplog.text


def test_a_simulation_is_a_protocol_of_the_labeled_images(labels: str) -> None:
    protocol, _ = plan_simulation(Request("photos", (labels,), table={"budget": 4}), 3)
    assert protocol.budget.labeled == (4, 8, 12)
    source = protocol.task.data.labeled
    assert source is not None
    assert not source.unlabeled


def test_hyper_parameters_of_a_simulation_are_those_of_its_strategy(labels: str) -> None:
    table = {"budget": 4, "strategy": "dropquery", "parameters": {"passes": 7}}
    asked = Request("photos", (labels,), table=table)
    for strategies in ((), ("dropquery",), ("margin", "dropquery")):
        _, settings = plan_simulation(asked, 3, strategies)
        assert (settings.strategy, settings.parameters) == ("dropquery", {"passes": 7})
    with pytest.raises(
        ConfigError, match="`parameters` are of dropquery, which is not simulated; add --strategy dropquery"
    ):
        plan_simulation(asked, 3, ("margin", "random"))
    unnamed = Request("photos", (labels,), table={"budget": 4, "parameters": {"passes": 7}})
    with pytest.raises(ConfigError, match="`parameters` are of one strategy; name it"):
        plan_simulation(unnamed, 3, ("margin", "dropquery"))
    with pytest.raises(ConfigError, match="pick: bogus"):
        plan_simulation(Request("photos", (labels,), table=table | {"bogus": 1}), 3)


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (Request(table=WHO), "no images; give their folder, or shards, with --unlabeled DIR"),
        (Request("photos", table={"budget": 5}), "no strategy; give one with --strategy NAME"),
        (Request("photos", table={"strategy": "random"}), "no budget; give one with --budget N"),
        (Request("photos", table=WHO), "no kind of task, and no label says which; give one with --kind"),
        (Request("photos", kind="poses", table=WHO), "no kind of task 'poses'"),
        (Request("photos", (), "detection", ("a",), WHO | {"budget": 0}), "pick: budget: "),
        (
            Request("photos", (), "detection", ("a",), WHO | {"task": {"modle": 1}}),
            "pick: task: modle: |pick: task.modle: ",
        ),
    ],
    ids=["images", "strategy", "budget", "kind", "unknown kind", "a budget of none", "a field"],
)
def test_what_is_missing_is_named(request_: Request, fault: str) -> None:
    with pytest.raises(Exception, match=fault):
        plan_round(request_)


def test_shipped_settings_are_of_kinds_that_there_are() -> None:
    names = {path.stem for path in shipped("configs/labeling").glob("*.toml")}
    assert names == {kind.name for kind in KINDS if kind.shape}


def test_labels_of_two_kinds_need_a_name(tmp_path: Path) -> None:
    path = tmp_path / "both.json"
    box = {"x": 1, "y": 1, "width": 9, "height": 9, "rotation": 0, "rectanglelabels": ["car"]}
    results = [
        {"from_name": "a", "to_name": "image", "type": "choices", "value": {"choices": ["day"]}},
        {
            "from_name": "b", "to_name": "image", "type": "rectanglelabels", "original_width": 40, "original_height": 40,
            "value": box,
        },
    ]  # fmt: skip
    task = {"id": 1, "data": {"image": "/a.png"}, "annotations": [{"id": 1, "was_cancelled": False, "result": results}]}
    path.write_text(json.dumps([task]), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"the labels fit classification, detection; give one with --kind"):
        plan_round(Request("photos", (str(path),), table=WHO))


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"task": 1}, r"pick: task is to be a table of settings \(given: 1\)"),
        ({"task": {"data": 1}}, "pick: task.data is to be a table"),
        ({"task": {"data": {"labeled": 1}}}, "pick: task.data.labeled is to be a table"),
        ({"task": {"data": {"labeled": {"images": "photos", "labels": 5}}}}, "pick: task.data.labeled: labels: "),
        ({"task": {"data": {"labeled": {"images": 5}}}}, "pick: task.data.labeled: images: "),
        ({"loss_prediction": 5}, "pick: loss_prediction is to be a table"),
    ],
    ids=["task", "data", "labeled", "labels", "images", "loss_prediction"],
)
def test_settings_that_are_no_tables_are_named(table: dict[str, Any], fault: str) -> None:
    images = None if "task" in table else "photos"
    with pytest.raises(ConfigError, match=fault):
        plan_round(Request(images, (), "detection", ("a",), WHO | table))
