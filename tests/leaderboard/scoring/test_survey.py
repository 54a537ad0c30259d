"""Reading a folder of untrusted records: damaged files are reported and left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fake_records import make_record

from leaderboard.schema.records import Record, record_path, write_record
from leaderboard.scoring.survey import survey


def stored(folder: Path, *records: Record) -> list[Path]:
    paths = []
    for record in records:
        paths.append(record_path(folder, record.protocol, record.track, record.strategy, record.seed, record.split))
        write_record(record, paths[-1])
    return paths


def test_sound_records_are_all_found(tmp_path: Path) -> None:
    records = [make_record(), make_record(seed=1), make_record(split="validation"), make_record(protocol="other")]
    stored(tmp_path, *records)
    found = survey(tmp_path)
    assert sorted(map(str, found.records)) == sorted(map(str, records))
    assert found.damages == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "Expecting value"),
        ('{"task": 1', "Expecting"),
        ('{"task": "a", "task": "b"}', "duplicate key 'task'"),
        ("[" * 100_000, "recursion"),
        ("null", "Input should be"),
        ('{"schema_number": 99}', "schema_number"),
        ("\udcff", "codec"),
        ('{"config": {"a": NaN}}', "NaN is not a finite number"),
        ("9" * 5000, "digits"),
    ],
)
def test_a_damaged_file_is_named_and_left_out(content: str, fault: str, tmp_path: Path) -> None:
    (good,) = stored(tmp_path, make_record())
    bad = good.with_name("random-shared-s7.json")
    bad.write_bytes(content.encode("utf-8", "surrogateescape"))
    found = survey(tmp_path)
    assert found.records == [make_record()]
    (line,) = found.damages
    assert line.startswith(str(bad))
    assert fault.lower() in line.lower()
    assert "\n" not in line


def test_half_a_file_is_named(tmp_path: Path) -> None:
    good, bad = stored(tmp_path, make_record(), make_record(seed=1))
    bad.write_bytes(good.read_bytes()[:300])
    assert [str(bad) in line for line in survey(tmp_path).damages] == [True]


def test_a_record_under_another_runs_name_is_left_out(tmp_path: Path) -> None:
    stored(tmp_path, make_record(), make_record(seed=1))
    (tmp_path / "shapes-mini" / "random-shared-s1.json").write_bytes(
        (tmp_path / "shapes-mini" / "random-shared-s0.json").read_bytes()
    )
    found = survey(tmp_path)
    assert found.records == [make_record()]
    assert "its name must be random-shared-s0.json" in found.damages[0]


def test_one_run_in_two_folders_counts_once(tmp_path: Path) -> None:
    stored(tmp_path / "a", make_record())
    stored(tmp_path / "b", make_record())
    found = survey(tmp_path)
    assert found.records == [make_record()]
    assert "the same run as" in found.damages[0]


def test_a_run_under_other_settings_is_left_out(tmp_path: Path) -> None:
    stored(tmp_path, *(make_record(seed=seed) for seed in range(3)))
    stored(tmp_path, make_record(strategy="ours", config={"budget": 999}), make_record((1.0,), strategy="short"))
    found = survey(tmp_path)
    assert {record.strategy for record in found.records} == {"random"}
    assert len(found.damages) == 2


def test_a_run_on_other_data_is_left_out(tmp_path: Path) -> None:
    stored(tmp_path, *(make_record(seed=seed, fingerprints={"pool": "0" * 64}) for seed in range(2)))
    stored(tmp_path, make_record(strategy="ours", fingerprints={"pool": "1" * 64, "strategy": "2" * 64}))
    (damage,) = survey(tmp_path).damages
    assert damage.endswith(
        "other images or labels than most runs of shapes-mini, version 1; scores on them are not comparable"
    )


def test_a_run_with_another_model_is_left_out(tmp_path: Path) -> None:
    stored(tmp_path, *(make_record(seed=seed, fingerprints={"pool": "0" * 64, "model": "2" * 64}) for seed in range(2)))
    stored(tmp_path, make_record(strategy="ours", fingerprints={"pool": "0" * 64, "model": "1" * 64}))
    (damage,) = survey(tmp_path).damages
    assert "another model, or other weights, than most runs of shapes-mini, version 1" in damage


def test_submitted_records_do_not_outvote_the_boards_own_records(tmp_path: Path) -> None:
    stored(tmp_path / "own", make_record())
    folder = tmp_path / "theirs"
    stored(folder, *(make_record(strategy="ours", seed=seed, config={"budget": 999}) for seed in range(5)))
    found = survey(tmp_path / "own", {folder: "ours"})
    assert found.records == [make_record()]
    assert len(found.damages) == 5


def test_a_submission_holds_records_of_its_own_strategy_alone(tmp_path: Path) -> None:
    stored(tmp_path / "own", make_record())
    stored(tmp_path / "theirs", make_record(seed=9), make_record(strategy="ours"))
    found = survey(tmp_path / "own", {tmp_path / "theirs": "ours"})
    assert [each.strategy for each in found.records] == ["random", "ours"]
    assert "a record of random in the submission of ours" in found.damages[0]


def test_two_settings_of_one_strategy_are_not_averaged(tmp_path: Path) -> None:
    stored(tmp_path, *(make_record(seed=seed) for seed in range(2)), make_record(seed=2, strategy_config={"epochs": 1}))
    found = survey(tmp_path)
    assert [each.seed for each in found.records] == [0, 1]
    assert found.damages[0].endswith("random has other hyper-parameters than in most runs; give it another name")


def test_a_file_name_of_any_bytes_can_be_shown(tmp_path: Path) -> None:
    stored(tmp_path, make_record())
    (tmp_path / "shapes-mini" / os.fsdecode(b"\xff.json")).write_text("{}")
    (damage,) = survey(tmp_path).damages
    assert "\\udcff.json" in damage
    damage.encode("utf-8")


def test_links_and_devices_are_not_read(tmp_path: Path) -> None:
    (good,) = stored(tmp_path, make_record())
    (good.parent / "random-shared-s1.json").symlink_to("/dev/zero")
    (good.parent / "random-shared-s2.json").symlink_to(good)
    found = survey(tmp_path)
    assert found.records == [make_record()]
    assert all("not a regular file" in line for line in found.damages)
    assert len(found.damages) == 2


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "a/b", "<script>", "x" * 61, "", "A", "a\n"])
def test_a_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    content = json.loads(make_record().model_dump_json()) | {"strategy": name}
    path = tmp_path / "shapes-mini" / "x.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    found = survey(tmp_path)
    assert found.records == []
    assert "strategy: String should" in found.damages[0]
