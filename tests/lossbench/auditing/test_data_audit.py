"""Records against the data of their protocol: what the config alone cannot tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_records import make_record
from tiny_tasks import KINDS

from leaderboard.schema.records import MetricInfo, Record
from lossbench.auditing.data import audit_data
from lossbench.auditing.records import impossible
from lossbench.config import Protocol, Stress
from lossbench.paths import Paths
from lossbench.running.loop import Run
from lossbench.submissions.conformance import tiny_protocol
from strategies import load_strategy
from tasks.base import Task

RARE = {"imbalance": 4.0, "missing_groups": 1}


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    """A pool whose images may be labeled or not, as their labels say."""
    plain = tiny_protocol("classification")
    budget = plain.budget.model_copy(update={"initial": 4, "step": 3, "subset": 10})
    return plain.model_copy(update={"stress": Stress.model_validate(RARE), "budget": budget})


@pytest.fixture(scope="module")
def record(protocol: Protocol, tiny_task: Callable[[str], Task[Any, Any]], shared: Path) -> Record:
    task = tiny_task("classification")
    rounds = tuple(Run(task, protocol, load_strategy("random"), 0, "shared", "test", shared / "models").rounds())
    metric = MetricInfo(**task.metric._asdict())
    fields = {"protocol": protocol.name, "metric": metric, "group_names": task.group_names, "rounds": rounds}
    return make_record(**fields, config=protocol.model_dump(mode="json"), fingerprints=dict(task.fingerprints))


def swap_counts(content: dict[str, Any]) -> None:
    """Another group for one image; the counts still add up."""
    counts = content["rounds"][0]["group_counts"]
    full = next(group for group, count in enumerate(counts) if count)
    counts[full] -= 1
    counts[(full + 1) % len(counts)] += 1


def pick_the_removed(content: dict[str, Any]) -> None:
    """An image that imbalance has removed from the pool."""
    content["rounds"][0]["picked"][0] = content["removed"]


def other_data(content: dict[str, Any]) -> None:
    content["fingerprints"] = {"data": "0" * 64}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (swap_counts, "the group counts of round 0 are"),
        (pick_the_removed, "which is no candidate of that round"),
        (other_data, "it was made on other data than lie here (data)"),
    ],
)
def test_what_only_data_show_is_named(
    change: Callable[[dict[str, Any]], None],
    fault: str,
    record: Record,
    protocol: Protocol,
    tiny_task: Callable[[str], Task[Any, Any]],
    shared: Path,
) -> None:
    task = tiny_task("classification")
    run = Run(task, protocol, load_strategy("random"), 0, "shared", "test", shared / "models")
    kept = {*run.pool.eligible.tolist(), *run.pool.validation.tolist()}
    content = json.loads(record.model_dump_json())
    content["removed"] = min(set(range(task.pool_size)) - kept)
    change(content)
    del content["removed"]
    changed = Record.model_validate_json(json.dumps(content))
    assert [*impossible(changed)] == [], "without the data it could be of a run"
    paths = Paths(shared, shared)
    assert audit_data([record], {protocol.name: protocol}, paths) == ([], [])
    (line,) = audit_data([changed], {protocol.name: protocol}, paths).faults
    assert line.startswith(f"{protocol.name}, shared, random, seed 0: ")
    assert fault in line


def test_a_training_on_the_whole_pool_has_its_size(record: Record, protocol: Protocol, shared: Path) -> None:
    last = record.rounds[-1].model_copy(update={"labeled": 48})
    full = record.model_copy(update={"strategy": "full-pool", "planned_rounds": 1, "rounds": (last,)})
    (line,) = audit_data([full], {protocol.name: protocol}, Paths(shared, shared)).faults
    assert "it has 48 labels, and " in line


def test_what_is_not_checked_is_said(record: Record, protocol: Protocol, tmp_path: Path) -> None:
    audit = audit_data([record], {}, Paths(tmp_path, tmp_path))
    assert audit.faults == []
    assert audit.unchecked[0].startswith(f"{protocol.name}: not checked against data, as Lossbench has no protocol of")
    data = protocol.task.data.model_copy(update={"scenes": None})
    real = protocol.model_copy(update={"task": protocol.task.model_copy(update={"data": data})})
    there = record.model_copy(update={"config": real.model_dump(mode="json")})
    audit = audit_data([there], {protocol.name: real}, Paths(tmp_path, tmp_path))
    assert audit.faults == []
    assert f"{protocol.name}: not checked against data: a batch of CIFAR-10 not found" in audit.unchecked[0]


def test_nothing_is_trained_to_check(shared: Path) -> None:
    for kind in KINDS[1:]:
        settings = tiny_protocol(kind).task
        assert settings.untrained() == settings
    varied = Protocol.model_validate(
        tiny_protocol("pose").model_dump(mode="json")
        | {
            "task": tiny_protocol("pose").task.model_dump(mode="json")
            | {"pretraining": {"data": {"validation": 0}, "recipe": tiny_protocol("pose").task.recipe.model_dump()}}
        }
    )
    assert varied.task.untrained() == tiny_protocol("pose").task
