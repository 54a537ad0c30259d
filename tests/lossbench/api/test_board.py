"""Records and the leaderboard in Python: tables, charts and the page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from fake_records import make_record, realistic_records

import lossbench
from leaderboard.schema.records import record_path, write_record
from leaderboard.scoring.board import Board
from leaderboard.scoring.rows import tables
from lossbench.errors import LossbenchError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Made-up records, one of them damaged."""
    for record in realistic_records():
        write_record(record, record_path(tmp_path, record.protocol, record.track, record.strategy, record.seed))
    (tmp_path / "voc-mini/random-shared-s9.json").write_text("{")
    return tmp_path


def test_records_of_a_folder(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"1 file left out.*random-shared-s9\.json"):
        records = lossbench.load_records(folder)
    assert sorted(each.model_dump_json() for each in records) == sorted(
        each.model_dump_json() for each in realistic_records()
    )
    assert repr(records) == "<18 records, 1 file left out>"
    assert len(records[:2]) == 2
    assert "18 records, 1 file left out" in records._repr_html_()
    assert list(records.table()["strategy"]) == [each.strategy for each in records]
    with pytest.raises(LossbenchError, match="no folder of records"):
        lossbench.load_records(folder / "none")


def test_a_record_shows_itself() -> None:
    record = lossbench.Record.of(make_record((50.0, 60.0, 71.25), strategy="badge"))
    assert record.model_dump() == make_record((50.0, 60.0, 71.25), strategy="badge").model_dump()
    assert list(record.table()["accuracy"]) == [50.0, 60.0, 71.25]
    shown = record._repr_html_()
    for part in ("badge on shapes-mini", "<td>100</td>", "<td>71.25</td>", "<td>0.6</td>", "<td>12</td>"):
        assert part in shown
    assert "of 5 rounds" in record.model_copy(update={"planned_rounds": 5})._repr_html_()
    chart = record.plot().to_dict()
    (values,) = chart["datasets"].values()
    assert [row["score"] for row in values] == [50.0, 60.0, 71.25]
    assert chart["encoding"]["y"]["title"] == "accuracy (%)"


def test_the_numbers_are_those_of_the_exports() -> None:
    records = realistic_records()
    board, exported = lossbench.Leaderboard(records), tables(Board(records))
    for name, shown in (("standings", board.standings()), ("curves", board.curves())):
        pd.testing.assert_frame_equal(shown, pd.DataFrame(exported[name]))
    one = board.standings("voc-mini")
    assert list(one["strategy"]) == ["learning-loss", "random"]
    assert {*one["protocol"]} == {"voc-mini"}
    for each in ("cifar10-mini", "voc-mini", "lsp-mini", "learning-loss"):
        assert each in board._repr_html_()


def test_curves_are_drawn_in_the_newest_version() -> None:
    records = [make_record(), make_record((1.0, 2.0), version=2)]
    assert "version 2" in lossbench.Leaderboard(records).plot("shapes-mini").to_dict()["title"]


def test_what_has_no_run_is_said() -> None:
    board = lossbench.Leaderboard([make_record()])
    with pytest.raises(LossbenchError, match=r"run of other on the shared track; there are runs of: shapes-mini"):
        board.standings("other")
    with pytest.raises(LossbenchError, match="native"):
        board.plot("shapes-mini", "native")
    none = lossbench.Leaderboard([make_record(planned_rounds=9)])
    assert none._repr_html_() == "<p>No complete test run.</p>"


@pytest.mark.slow
def test_the_page_is_built(tmp_path: Path) -> None:
    index = lossbench.Leaderboard([make_record()]).build(tmp_path / "page")
    assert "shapes-mini" in index.read_text(encoding="utf-8")


def test_it_says_what_it_holds_and_what_it_is_made_of() -> None:
    board = lossbench.Leaderboard([make_record(), make_record(seed=1)])
    assert repr(board) == "<Leaderboard of 2 records: shapes-mini (shared)>"
    assert repr(lossbench.Leaderboard([])) == "<Leaderboard of 0 records: no complete test run>"
    with pytest.raises(LossbenchError, match=r"made of records; give lossbench\.load_records\('runs/records'\)"):
        lossbench.Leaderboard("runs/records")
    with pytest.raises(LossbenchError, match=r"made of records, .*; given: 'random'"):
        lossbench.Leaderboard(["random"])
