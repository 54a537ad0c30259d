"""Where records lie: a copy never counts before the original, and a file at a wrong place is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_records import make_record

from leaderboard.schema.records import Record, record_path, write_record
from leaderboard.scoring.survey import survey

GOOD, BETTER = make_record(), make_record((80.0, 90.0, 99.0))


def stored(folder: Path, record: Record) -> Path:
    path = record_path(folder, record.protocol, record.track, record.strategy, record.seed, record.split)
    write_record(record, path)
    return path


@pytest.mark.parametrize("original", ["", "test"])
@pytest.mark.parametrize("copy", ["a", "zz", "test/copies", "a/b"])
def test_the_file_at_its_place_counts_wherever_the_copy_sorts(original: str, copy: str, tmp_path: Path) -> None:
    place, other = stored(tmp_path / original, GOOD), stored(tmp_path / copy, BETTER)
    found = survey(tmp_path)
    assert found.records == [GOOD]
    assert found.damages == [f"{other}: the same run as {place}; delete one of the two"]


@pytest.mark.parametrize("folders", [("a", "b"), ("", "test"), ("z/a", "z/b")])
def test_of_two_that_differ_and_lie_equally_well_none_counts(folders: tuple[str, str], tmp_path: Path) -> None:
    paths = [stored(tmp_path / folders[0], GOOD), stored(tmp_path / folders[1], BETTER)]
    found = survey(tmp_path)
    assert found.records == []
    assert sorted(line.split(": the same run as ")[0] for line in found.damages) == sorted(map(str, paths))


def test_a_submitted_record_of_a_run_that_the_board_has_does_not_count(tmp_path: Path) -> None:
    own, theirs = stored(tmp_path / "own", GOOD), stored(tmp_path / "another", BETTER)
    found = survey(tmp_path / "own", {tmp_path / "another": "random"})
    assert found.records == [GOOD]
    assert found.damages == [f"{theirs}: the same run as {own}; delete one of the two"]


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("other-mini/random-shared-s0.json", "its folder must be shapes-mini, the protocol of the run in it"),
        ("random-shared-s0.json", "its folder must be shapes-mini, the protocol of the run in it"),
        ("shapes-mini/random-shared-s1.json", "its name must be random-shared-s0.json, that of the run in it"),
        ("shapes-mini/random-native-s0.json", "its name must be random-shared-s0.json, that of the run in it"),
        ("shapes-mini/entropy-shared-s0.json", "its name must be random-shared-s0.json, that of the run in it"),
        ("shapes-mini/random-shared-s0-validation.json", "its name must be random-shared-s0.json, that of the run in"),
        ("validation/shapes-mini/random-shared-s0.json", "it lies in validation, and a record of its kind belongs in"),
        ("variations/shapes-mini/random-shared-s0.json", "it lies in variations, and a record of its kind belongs in"),
    ],
)
def test_a_record_at_a_wrong_place_is_named_and_left_out(path: str, fault: str, tmp_path: Path) -> None:
    write_record(GOOD, tmp_path / path)
    found = survey(tmp_path)
    assert found.records == []
    assert len(found.damages) == 1
    assert found.damages[0].startswith(f"{tmp_path / path}: {fault}")


@pytest.mark.parametrize("room", ["", "runs-of-may", "test"])
def test_folders_of_ones_own_are_allowed(room: str, tmp_path: Path) -> None:
    stored(tmp_path / room, GOOD)
    assert survey(tmp_path).records == [GOOD]


def test_a_folder_of_one_protocol_is_read_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stored(tmp_path, GOOD).parent)
    assert survey(Path()) == ([GOOD], [])


def test_a_variation_belongs_in_its_room(tmp_path: Path) -> None:
    varied = make_record(config={"base": "shapes"})
    stored(tmp_path / "variations", varied)
    assert survey(tmp_path).records == [varied]
    (tmp_path / "variations").rename(tmp_path / "test")
    assert "it lies in test, and a record of its kind belongs in variations" in survey(tmp_path).damages[0]


def test_a_record_without_a_round_is_named_and_left_out(tmp_path: Path) -> None:
    path = stored(tmp_path, make_record(rounds=(), planned_rounds=3))
    assert survey(tmp_path) == ([], [f"{path}: holds no round; delete it and run again"])
