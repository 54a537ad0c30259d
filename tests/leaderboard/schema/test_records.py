"""Records: writing and reading gives an equal record; a malformed file is refused with a message of one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_records import make_record
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.schema.records import Record, RecordError, read_record, record_path, write_record

COMMITTED = Path(__file__).parents[3] / "leaderboard/records"


def test_a_written_record_is_read_back_unchanged(tmp_path: Path) -> None:
    record = make_record()
    path = record_path(tmp_path, record.protocol, record.track, record.strategy, record.seed)
    write_record(record, path)
    assert read_record(path) == record
    assert [file.name for file in path.parent.iterdir()] == ["random-shared-s0.json"]


def test_a_record_has_a_line_for_each_field_and_each_round(tmp_path: Path) -> None:
    record = make_record((1.0, 2.0), strategy_config={"é": [1, 2]}, first=(8, 9))
    write_record(record, tmp_path / "a.json")
    lines = (tmp_path / "a.json").read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("{", "}")
    assert [line.split('"')[1] for line in lines if line.startswith(' "')] == list(Record.model_fields)
    assert ' "strategy_config": {"é": [1, 2]},' in lines
    start = lines.index(' "rounds": [')
    assert [json.loads(line.strip().rstrip(","))["labeled"] for line in lines[start + 1 : -2]] == [100, 200]


def test_committed_records_have_the_path_of_their_run() -> None:
    paths = [*COMMITTED.rglob("*.json")]
    assert len(paths) >= 522
    for path in paths:
        record = read_record(path)
        folder = COMMITTED / ("variations" if "base" in record.config else record.split)
        assert path == record_path(folder, record.protocol, record.track, record.strategy, record.seed, record.split)


@given(scores=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5))
def test_every_finite_score_survives_json(scores: list[float]) -> None:
    record = make_record(scores)
    assert Record.model_validate_json(record.model_dump_json()) == record


def test_a_resumed_run_names_all_its_machines_and_commits() -> None:
    record = make_record()
    second = record.machine.model_copy(update={"processor": "EPYC", "device": "H200"})
    assert record.going_on(record.machine, record.commit) == record
    moved = record.going_on(second, "1" * 40)
    assert (moved.machine.processor, moved.machine.device, moved.machine.torch) == (
        "Xeon, then EPYC",
        "cpu, then H200",
        record.machine.torch,
    )
    assert moved.commit == f"{record.commit}, then {'1' * 40}"
    assert moved.going_on(second, "1" * 40) == moved
    other = moved.going_on(second.model_copy(update={"processor": "PYC"}), "1" * 40)
    assert other.machine.processor == "Xeon, then EPYC, then PYC"


def test_a_failed_write_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_record(make_record(), path)

    def full_disk(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_record(make_record((1.0,)), path)
    assert read_record(path) == make_record()
    assert list(tmp_path.iterdir()) == [path]


def test_selection_seconds_are_forward_score_and_pick() -> None:
    assert make_record().rounds[0].seconds.select == pytest.approx(1.0)


def test_a_record_is_complete_with_all_planned_rounds() -> None:
    assert make_record().complete
    assert not make_record(planned_rounds=4).complete


def set_nan(record: dict[str, Any]) -> None:
    record["rounds"][0]["metrics"]["accuracy"] = float("nan")


def set_negative_seconds(record: dict[str, Any]) -> None:
    record["rounds"][1]["seconds"]["fit"] = -1.0


def set_unknown_field(record: dict[str, Any]) -> None:
    record["note"] = "hello"


def set_repeated_pick(record: dict[str, Any]) -> None:
    record["rounds"][1]["picked"] = record["rounds"][0]["picked"]


def drop_metric(record: dict[str, Any]) -> None:
    del record["rounds"][2]["metrics"]["accuracy"]


def set_falling_labels(record: dict[str, Any]) -> None:
    record["rounds"][2]["labeled"] = 200


def set_too_many_rounds(record: dict[str, Any]) -> None:
    record["planned_rounds"] = 2


def set_other_schema(record: dict[str, Any]) -> None:
    record["schema_number"] = 3


def set_huge_version(record: dict[str, Any]) -> None:
    record["version"] = 10**300


def set_huge_score(record: dict[str, Any]) -> None:
    record["rounds"][0]["metrics"]["accuracy"] = 1e308


def set_negative_pick(record: dict[str, Any]) -> None:
    record["rounds"][0]["picked"] = [-1]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (set_huge_version, r"version: Input should be less than or equal to 9999"),
        (set_huge_score, r"rounds\.0\.metrics\.accuracy: Input should be less than or equal to"),
        (set_negative_pick, r"rounds\.0\.picked\.0: Input should be greater than or equal to 0"),
        (set_nan, r"NaN is not a finite number"),
        (set_negative_seconds, r"rounds\.1\.seconds\.fit: Input should be greater than or equal to 0"),
        (set_unknown_field, r"note: Extra inputs are not permitted"),
        (set_repeated_pick, r"an image is labeled twice"),
        (drop_metric, r"a round lacks accuracy, the ranking metric"),
        (set_falling_labels, r"label counts must rise from round to round, got \[100, 200, 200\]"),
        (set_too_many_rounds, r"3 rounds are recorded, but only 2 were planned"),
        (set_other_schema, r"schema_number: Input should be 2"),
    ],
)
def test_a_malformed_record_is_refused_in_one_line(spoil: Any, reason: str, tmp_path: Path) -> None:
    content = json.loads(make_record().model_dump_json())
    spoil(content)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=reason) as caught:
        read_record(path)
    assert str(caught.value).startswith(f"{path}: not a valid record")
    assert "\n" not in str(caught.value)


def test_a_truncated_record_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "half.json"
    path.write_text(make_record().model_dump_json()[:200])
    with pytest.raises(RecordError, match=r"half\.json: not a valid record \(file: (Unterminated|Expecting)") as caught:
        read_record(path)
    assert "\n" not in str(caught.value)
