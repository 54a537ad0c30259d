"""`lossbench leaderboard`: what is made from records."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from command_line import Result, the_line
from fake_records import make_record

from leaderboard.schema.records import write_record


@pytest.mark.slow
def test_page_is_built_from_records_alone(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    write_record(make_record(), tmp_path / "records/shapes-mini/random-shared-s0.json")
    result = lossbench_cli("leaderboard", "build", tmp_path / "records", "--out", tmp_path / "page")
    assert result.code == 0
    assert result.output.strip() == f"1 records: {(tmp_path / 'page/index.html').as_uri()}"
    assert "shapes-mini" in (tmp_path / "page/index.html").read_text(encoding="utf-8")


def test_page_without_records_says_how_to_make_some(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    line = the_line(lossbench_cli("leaderboard", "build", tmp_path, "--out", tmp_path / "page"))
    assert line == f"no sound records below {tmp_path}; make some with `lossbench run`"
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes/half.json").write_text('{"schema_number": 1')
    line = the_line(lossbench_cli("leaderboard", "build", tmp_path, "--out", tmp_path / "page"))
    assert f"; {tmp_path}/shapes/half.json: not a valid record" in line
    assert not (tmp_path / "page").exists()


@pytest.mark.slow
def test_a_damaged_record_is_named_and_left_out(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    write_record(make_record(), tmp_path / "records/shapes-mini/random-shared-s0.json")
    broken = tmp_path / "records/shapes-mini/random-shared-s1.json"
    broken.write_text("{")
    result = lossbench_cli("leaderboard", "build", tmp_path / "records", "--out", tmp_path / "page")
    assert result.code == 0
    assert result.output.startswith(f"left out: {broken}: not a valid record")
    checking = ("leaderboard", "check", tmp_path / "records", "--submissions", tmp_path / "submissions")
    assert the_line(lossbench_cli(*checking)) == f"no folder of submissions {tmp_path / 'submissions'}"
    (tmp_path / "submissions").mkdir()
    result = lossbench_cli(*checking)
    assert result.code == 1
    assert f"{broken}: not a valid record" in result.output
    assert "1 records are sound, 1 faults were found" in result.output
    broken.unlink()
    assert lossbench_cli(*checking).code == 0
    (tmp_path / "submissions/half").mkdir(parents=True)
    result = lossbench_cli(*checking)
    assert result.code == 1
    assert "half has no strategy.py" in result.output


@pytest.mark.slow
def test_export_writes_tables_and_charts(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    for name in ("random", "entropy"):
        for seed in (0, 1):
            record = make_record((10.0, 20.0 + seed), strategy=name, seed=seed)
            write_record(record, tmp_path / f"records/shapes-mini/{name}-shared-s{seed}.json")
    result = lossbench_cli("leaderboard", "export", tmp_path / "records", "--out", tmp_path / "export")
    assert result.code == 0
    written = [Path(line) for line in result.output.splitlines()]
    assert sorted(written) == sorted((tmp_path / "export").iterdir())
    assert {path.stem for path in written if path.suffix == ".csv"} == {
        "ranks",
        "standings",
        "curves",
        "penalties",
        "overlaps",
    }
    standings = pd.read_csv(tmp_path / "export/standings.csv").set_index("strategy")
    assert standings.loc["entropy", "area"] == 15.25
    assert standings.loc["entropy", "fit_seconds"] == 10.5
    curves = pd.read_csv(tmp_path / "export/curves.csv")
    assert curves.query("strategy == 'random'")["score"].tolist() == [10.0, 20.5]
    assert (tmp_path / "export/shapes-mini-p1-shared-curves.svg").read_text().startswith("<svg")
    assert (tmp_path / "export/shapes-mini-p1-shared-penalties.png").read_bytes().startswith(b"\x89PNG")


def test_checking_no_folder_is_one_line(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    assert (
        the_line(lossbench_cli("leaderboard", "check", tmp_path / "none"))
        == f"no folder of records {tmp_path / 'none'}"
    )


def test_records_of_the_clone_are_found_from_any_folder_of_it(
    lossbench_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(make_record(), tmp_path / "leaderboard/records/shapes-mini/random-shared-s0.json")
    deep = tmp_path / "docs/deep"
    deep.mkdir(parents=True)
    for folder in (tmp_path, deep):
        monkeypatch.chdir(folder)
        result = lossbench_cli("leaderboard", "check")
        assert (result.code, result.output) == (0, "1 records are sound.\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("leaderboard", "build"), "no leaderboard/records here, .*; give the folder of records, such as runs/records"),
        (("leaderboard", "check"), "no leaderboard/records here, .*; give the folder of records, such as runs/records"),
        (("leaderboard", "docs"), "no docs/reproduction.md here, .*; change into a clone"),
        (("submission", "verify", "mine"), "no leaderboard/submissions here, .*; name a folder with --submissions DIR"),
    ],
    ids=["build", "check", "docs", "verify"],
)
def test_outside_of_a_clone_a_command_says_what_to_give(
    words: tuple[str, ...],
    line: str,
    lossbench_cli: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch(line, the_line(lossbench_cli(*words)))
