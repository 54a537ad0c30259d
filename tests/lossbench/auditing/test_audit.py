"""Records that no run can have are named; records of runs have no fault."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_records import make_record
from tiny_tasks import FAST_ON_ONE_KIND

from leaderboard.schema.records import MetricInfo, Record, RecordError, read_record, record_path, write_record
from lossbench.auditing.records import OF_ALL_KINDS, are_candidates, audit, checked_survey, impossible
from lossbench.config import Protocol
from lossbench.running.loop import Run
from lossbench.running.pool import Pool, divided
from lossbench.submissions.conformance import tiny_protocol
from strategies import load_strategy
from tasks.base import Task
from tasks.kinds import kind_named

RECORDS = Path(__file__).parents[3] / "leaderboard/records"
POOL = 2000
"""Images in the pool of the rendered scenes."""


def committed(kind: str) -> Record:
    return read_record(record_path(RECORDS / "test", f"scenes-{kind}", "shared", "random", 0))


def made(task: Task[Any, Any], protocol: Protocol, folder: Path) -> Record:
    """A record of a run that was made here."""
    run = Run(task, protocol, load_strategy("random"), 0, "shared", "test", folder)
    fields = {"protocol": protocol.name, "metric": MetricInfo(**task.metric._asdict()), "group_names": task.group_names}
    config = protocol.model_dump(mode="json")
    return make_record(**fields, version=protocol.version, config=config, rounds=tuple(run.rounds()))


@FAST_ON_ONE_KIND
def test_a_run_has_no_fault(task: Task[Any, Any], kind: str, tmp_path: Path) -> None:
    record = made(task, tiny_protocol(kind), tmp_path)
    assert [*impossible(record, task.pool_size)] == []
    declared = kind_named(kind).bounds.keys() | OF_ALL_KINDS.keys()
    assert record.rounds[0].metrics.keys() <= declared, "every metric declares its bounds"


def set_metric(name: str, value: float) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["rounds"][1]["metrics"].update({name: value})


def set_picks(picks: Callable[[dict[str, Any]], list[int]], number: int = 0) -> Callable[[dict[str, Any]], None]:
    """Other first picks in a round."""

    def change(content: dict[str, Any]) -> None:
        picked = content["rounds"][number]["picked"]
        new = picks(content)
        picked[: len(new)] = new

    return change


def first_label(content: dict[str, Any]) -> list[int]:
    protocol = Protocol.model_validate(content["config"])
    return [int(Pool.without_labels(POOL, protocol).initial(content["seed"], protocol.budget.initial)[0])]


def no_candidate(content: dict[str, Any]) -> list[int]:
    """An image that could be labeled in another round."""
    protocol = Protocol.model_validate(content["config"])
    pool = Pool.without_labels(POOL, protocol)
    first = pool.initial(content["seed"], protocol.budget.initial)
    candidates = pool.candidates(content["seed"], 0, first, protocol.budget.subset)
    later = [image for one in content["rounds"] for image in one["picked"]]
    return [int(np.setdiff1d(pool.eligible, np.concatenate([first, candidates, later]))[0])]


def add_group(content: dict[str, Any]) -> None:
    content["rounds"][0]["group_counts"][0] += 1


def drop_pick(content: dict[str, Any]) -> None:
    content["rounds"][0]["picked"].pop()
    content["rounds"][0]["group_counts"] = [0] * len(content["group_names"])


def add_pick(content: dict[str, Any]) -> None:
    content["rounds"][0]["picked"].append(1999 if 1999 not in content["rounds"][0]["picked"] else 1998)


def pick_last(content: dict[str, Any]) -> None:
    content["rounds"][-1]["picked"] = [3]


def rank_otherwise(content: dict[str, Any]) -> None:
    content["metric"]["name"] = "luck"
    for one in content["rounds"]:
        one["metrics"]["luck"] = 0.5


def label_too_many(content: dict[str, Any]) -> None:
    content["config"]["budget"].update(initial=1900, rounds=1)
    content["rounds"] = [content["rounds"][-1] | {"labeled": 1900}]
    content["planned_rounds"] = 1


IMPOSSIBLE: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("classification", set_metric("accuracy", 1.7), "accuracy of round 1 is 1.7, and its bounds are 0 and 1"),
    ("classification", set_metric("accuracy", -5), "accuracy of round 1 is -5, and its bounds are 0 and 1"),
    ("classification", set_metric("balanced_accuracy", 1.001), "balanced_accuracy of round 1 is 1.001"),
    ("classification", set_metric("ranking_accuracy", -0.1), "ranking_accuracy of round 1 is -0.1"),
    ("classification", set_metric("auxiliary_ranking_accuracy", 2), "auxiliary_ranking_accuracy of round 1 is 2"),
    ("classification", set_metric("loss", -0.5), "loss of round 1 is -0.5, and its bounds are 0 and inf"),
    ("detection", set_metric("mAP", 37.0), "mAP of round 1 is 37"),
    ("detection", set_metric("mAP_area", 1.5), "mAP_area of round 1 is 1.5"),
    ("detection", set_metric("COCO_AP", -1), "COCO_AP of round 1 is -1"),
    ("detection", set_metric("weight_on_objects", 1.1), "weight_on_objects of round 1 is 1.1"),
    ("pose", set_metric("PCKh", 60.0), "PCKh of round 1 is 60"),
    ("classification", rank_otherwise, "it is ranked by luck, which classification does not have"),
    ("classification", set_picks(lambda _: [POOL]), "round 0 picks image 2000, and the pool has images 0 to 1999"),
    ("detection", set_picks(lambda _: [2499], 1), "round 1 picks image 2499, and the pool has images 0 to 1999"),
    ("pose", set_picks(lambda _: [10**6]), "round 0 picks image 1000000, and the pool has images 0 to 1999"),
    ("classification", set_picks(lambda _: [int(divided(POOL, 250)[1][7])]), "which is held out for validation"),
    ("classification", set_picks(first_label), "which is among the first labels"),
    ("detection", set_picks(first_label, 1), "which is among the first labels"),
    ("classification", drop_pick, "round 0 has 99 picks, and the protocol wants 100"),
    ("pose", add_pick, "round 0 has 101 picks, and the protocol wants 100"),
    ("classification", pick_last, "has 1 picks, and the protocol wants 0"),
    ("classification", add_group, "the group counts of round 0 add up to 101, and it has 100 picks"),
    ("pose", add_group, "the group counts of round 0 add up to 101, and it has 100 picks"),
    (
        "detection",
        lambda content: content["rounds"][0].update(group_counts=[]),
        "round 0 has 0 group counts, and 8 are",
    ),
    ("classification", lambda content: content["rounds"][1].update(labeled=101), "round 1 has 101 labels, and the pro"),
    ("classification", lambda content: content.update(planned_rounds=9), "9 rounds were planned, and the protocol has"),
    (
        "classification",
        lambda content: content["config"].update(version=2),
        "its config is of scenes-classification, v",
    ),
    ("classification", lambda content: content["config"].update(name="a"), "its config is of a, version 1"),
    (
        "classification",
        lambda content: content["config"]["task"].pop("recipe"),
        "its config is no protocol (task.recip",
    ),
    (
        "classification",
        lambda content: content["config"]["budget"].update(step=-1),
        "its config is no protocol (budget",
    ),
    ("classification", label_too_many, "a budget of 1900 labels is larger than the pool of 2000 images"),
]


@pytest.mark.parametrize(("kind", "change", "fault"), IMPOSSIBLE)
def test_what_no_run_can_give_is_named(
    kind: str, change: Callable[[dict[str, Any]], object], fault: str, tmp_path: Path
) -> None:
    content = json.loads(committed(kind).model_dump_json())
    change(content)
    path = record_path(tmp_path, content["protocol"], "shared", "random", 0)
    path.parent.mkdir()
    path.write_text(json.dumps(content), encoding="utf-8")
    found = checked_survey(tmp_path)
    assert found.records == []
    (line,) = found.damages
    assert line.startswith(f"{path}: cannot be of a run: ")
    assert fault in line


@pytest.mark.parametrize(
    "change",
    [
        set_metric("accuracy", True),
        set_metric("accuracy", "0.9"),  # pyright: ignore[reportArgumentType]
        set_metric("accuracy", None),  # pyright: ignore[reportArgumentType]
        set_metric("accuracy", [0.9]),  # pyright: ignore[reportArgumentType]
        lambda content: content["rounds"][0].update(labeled="100"),
        lambda content: content["rounds"][0].update(labeled=100.0),
        lambda content: content["rounds"][0]["picked"].__setitem__(0, "7"),
        lambda content: content["rounds"][0]["picked"].__setitem__(0, True),
        lambda content: content["rounds"][0]["seconds"].update(fit="1"),
        lambda content: content.update(seed="0"),
        lambda content: content.update(version=True),
        lambda content: content.update(planned_rounds="5"),
        lambda content: content.update(reference=0),
        lambda content: content.update(reference="no"),
        lambda content: content["metric"].update(larger_is_better="yes"),
        lambda content: content["rounds"][0]["group_counts"].pop(),
        lambda content: content["rounds"][0]["group_counts"].__setitem__(0, 101),
        lambda content: content["rounds"][-1].update(group_counts=[1] * 8),
    ],
)
def test_what_has_another_type_or_does_not_add_up_is_no_record(
    change: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    content = json.loads(committed("classification").model_dump_json())
    change(content)
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RecordError, match=r"a\.json: not a valid record") as caught:
        read_record(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_bounds_are_those_of_the_metric_with_room_for_rounding() -> None:
    for kind in ("classification", "detection", "pose"):
        record = committed(kind)
        for name, (lowest, highest) in (kind_named(kind).bounds | OF_ALL_KINDS).items():
            for value in (lowest, min(highest, 1e6), highest + 1e-7 if math.isfinite(highest) else 5.0):
                last = record.rounds[-1]
                changed = last.model_copy(update={"metrics": last.metrics | {name: value}})
                assert [*impossible(record.model_copy(update={"rounds": (*record.rounds[:-1], changed)}))] == []


def test_a_subset_of_candidates_is_that_of_the_round() -> None:
    path = record_path(RECORDS / "test", "cifar10-mini", "shared", "random", 0)
    content = json.loads(read_record(path).model_dump_json())
    assert [*impossible(Record.model_validate(content))] == []
    protocol = Protocol.model_validate(content["config"])
    pool = Pool.without_labels(50_000, protocol)
    first = pool.initial(0, protocol.budget.initial)
    candidates = pool.candidates(0, 0, first, protocol.budget.subset)
    later = [image for one in content["rounds"] for image in one["picked"]]
    other = int(np.setdiff1d(pool.eligible, np.concatenate([first, candidates, later]))[0])
    content["rounds"][0]["picked"][0] = other
    assert [*impossible(read_back(content))] == [f"round 0 picks image {other}, which is no candidate of that round"]


def read_back(content: dict[str, Any]) -> Record:
    return Record.model_validate_json(json.dumps(content))


def test_the_size_of_a_real_pool_is_that_of_a_training_on_all_of_it() -> None:
    full = read_record(record_path(RECORDS / "test", "voc2007-mini", "shared", "full-pool", 0))
    one = read_record(record_path(RECORDS / "test", "voc2007-mini", "shared", "random", 0))
    content = json.loads(one.model_dump_json())
    content["rounds"][0]["picked"][0] = 1651
    beyond = read_back(content)
    paths = [Path("full"), Path("one"), Path("beyond")]
    records = dict(zip(paths, (full, one, beyond), strict=True))
    assert audit(records, paths) == {
        paths[2]: "cannot be of a run: round 0 picks image 1651, and the pool has images 0 to 1650"
    }
    assert audit(records, paths[1:]) == {}, "only the leaderboard's own records tell the size"
    fewer = full.model_copy(update={"rounds": (full.rounds[0].model_copy(update={"labeled": 48_001}),)})
    scenes = committed("classification").model_copy(update={"strategy": "full-pool", "planned_rounds": 1})
    scenes = scenes.model_copy(update={"rounds": (scenes.rounds[-1].model_copy(update={"labeled": 1751}),)})
    assert [*impossible(scenes)] == ["it has 1751 labels, and 1750 images may be labeled"]
    assert [*impossible(fewer)] == [], "without another source, the size is what it says"


def test_records_of_a_kind_that_is_not_known_here_are_left_alone(tmp_path: Path) -> None:
    record = make_record(config={"task": {"kind": "dots"}, "budget": {}})
    write_record(record, record_path(tmp_path, "shapes-mini", "shared", "random", 0))
    assert checked_survey(tmp_path).records == [record]


@pytest.mark.slow  # CI runs `leaderboard check`, too
def test_every_committed_record_could_be_of_a_run() -> None:
    found = checked_survey(RECORDS)
    assert len(found.records) >= 522
    assert found.damages == []


@pytest.mark.parametrize("subset", [5, 40, None])
def test_picks_are_judged_as_a_round_draws_its_candidates(subset: int | None) -> None:
    """Images in the pool and out of it, labeled or not, also where an image that was held out is labeled by mistake."""
    protocol = Protocol.model_validate(committed("classification").config)
    pool = Pool.without_labels(POOL, protocol)
    rng = np.random.default_rng(0)
    for number in range(20):
        labeled = rng.choice(POOL, 60, replace=False)
        wanted = np.isin(np.arange(POOL), pool.candidates(3, number, labeled, subset))
        assert (are_candidates(np.arange(POOL), labeled, pool.turns(3, number), subset) == wanted).all()
