"""What can be taken along from the page, its history, and pieces that are not built again."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pyarrow.parquet
import pytest
from fake_records import make_record
from pages import text_of

from leaderboard.schema.events import Event, read_events
from leaderboard.schema.records import Record, RecordError
from leaderboard.scoring.board import About, Board, Sheet
from leaderboard.site import page, pieces
from leaderboard.site.page import build_page


@pytest.fixture(autouse=True)
def short_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundling Vega takes most of a build."""
    monkeypatch.setattr(page.vega, "script", lambda: "/* vega */")


def eight_seeds(**changes: object) -> list[Record]:
    names = {"random": 50.0, "ours": 51.0}
    return [
        make_record((area, area), strategy=name, seed=seed, **changes)
        for name, area in names.items()
        for seed in range(8)
    ]


def test_a_table_is_the_same_in_every_format(tmp_path: Path) -> None:
    build_page(Board(eight_seeds()), tmp_path / "page")
    data = tmp_path / "page/data"
    rows = json.loads((data / "ranks.json").read_text(encoding="utf-8"))
    first = next(row for row in rows if (row["labels"], row["strategy"]) == ("all", "ours"))
    assert (first["rank"], first["best_rank"], first["worst_rank"], first["runs_won"], first["runs"]) == (1, 1, 1, 8, 8)
    read = [*csv.DictReader(io.StringIO((data / "ranks.csv").read_text(encoding="utf-8")))]
    assert [row["strategy"] for row in read] == [row["strategy"] for row in rows]
    assert pyarrow.parquet.read_table(data / "ranks.parquet").to_pylist() == rows
    curves = json.loads((data / "curves.json").read_text(encoding="utf-8"))
    assert {row["score"] for row in curves if row["strategy"] == "ours"} == {51.0}


def test_the_archive_holds_the_records_and_its_version_changes_with_them(tmp_path: Path) -> None:
    records = eight_seeds()
    build_page(Board(records), tmp_path / "page")
    with zipfile.ZipFile(tmp_path / "page/records.zip") as archive:
        assert len(archive.namelist()) == len(records)
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "page" / name).read_bytes()
    before = (tmp_path / "page/records.zip").read_bytes()
    build_page(Board(records[::-1]), tmp_path / "same")
    assert (tmp_path / "same/records.zip").read_bytes() == before
    build_page(Board([*records, make_record((50.0, 50.0), seed=9)]), tmp_path / "more")
    versions = {
        text_of((tmp_path / name / "index.html").read_text(encoding="utf-8")).split("records ")[-1].split("}")[0]
        for name in ("page", "same", "more")
    }
    assert len(versions) == 2


def test_the_history_is_dated_and_the_latest_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "changelog.toml"
    lines = ['[[events]]\ndate = 2026-01-02\nkind = "entry"\ntext = "old"\n']
    path.write_text("".join([*lines, '[[events]]\ndate = 2026-03-04\nkind = "removal"\ntext = "new <b>"\n']))
    events = read_events(path)
    assert [event.text for event in events] == ["new <b>", "old"]
    build_page(Board([make_record()], events=events), tmp_path / "page")
    html = (tmp_path / "page/history.html").read_text(encoding="utf-8")
    assert "2026-03-04 removal : new &lt;b&gt; 2026-01-02 entry : old" in text_of(html)
    with pytest.raises(ValueError, match="kind"):
        Event.model_validate({"date": "2026-01-02", "kind": "rumor", "text": "x"})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[events", "changelog.toml is not TOML"),
        ("", "changelog.toml: events: Field required"),
        (
            f'[[events]]\ndate = 2026-01-02\nkind = "entry"\ntext = "{"x" * 201}"\n',
            "events.0.text: String should have at most 200",
        ),
    ],
)
def test_what_is_wrong_with_a_changelog_is_one_line(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "changelog.toml").write_text(text)
    with pytest.raises(RecordError, match=fault):
        read_events(tmp_path / "changelog.toml")


def test_the_repositorys_changelog_can_be_read() -> None:
    assert {event.kind for event in read_events()} >= {"entry", "protocol", "removal", "method"}


def test_snapshots_are_kept_under_their_date(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    build_page(Board([make_record(strategy="first")]), folder, "2026-01-02")
    build_page(Board([make_record(strategy="second")]), folder)
    build_page(Board([make_record(strategy="third")]), folder, "2026-03-04")
    assert sorted(path.name for path in (folder / "snapshots").iterdir()) == ["2026-01-02", "2026-03-04"]
    assert (folder / "snapshots/2026-01-02/strategies/first.html").is_file()
    assert not (folder / "snapshots/2026-03-04/snapshots").exists()
    history = (folder / "history.html").read_text(encoding="utf-8")
    assert history.index("snapshots/2026-03-04/index.html") < history.index("snapshots/2026-01-02/index.html")
    old = (folder / "snapshots/2026-01-02/history.html").read_text(encoding="utf-8")
    assert "You are in an earlier version" in old
    assert "../../history.html" in old


def test_the_examples_of_two_tracks_are_two_files(tmp_path: Path) -> None:
    records = [*eight_seeds(), *eight_seeds(track="native")]
    board = Board(records, examples=lambda record: Sheet(record.track.encode(), ""))
    for _ in range(2):  # what has not changed is taken from the page before
        build_page(board, tmp_path / "page")
    for track in ("shared", "native"):
        assert (tmp_path / f"page/sheets/shapes-mini-p1-{track}.jpg").read_bytes() == track.encode()


def test_only_what_has_changed_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def sheet(record: Record) -> Sheet:
        drawn.append(f"{record.protocol} {record.strategy}")
        return Sheet(b"jpeg", "")

    records = [*eight_seeds(), *eight_seeds(protocol="other")]
    build_page(Board(records, sheet=sheet), tmp_path / "page")
    assert sorted(drawn) == ["other ours", "other random", "shapes-mini ours", "shapes-mini random"]
    before = (tmp_path / "page/tasks/other-p1-shared.html").read_bytes()
    drawn.clear()
    build_page(Board(records, sheet=sheet), tmp_path / "page")
    assert drawn == []
    assert (tmp_path / "page/tasks/other-p1-shared.html").read_bytes() == before
    assert (tmp_path / "page/sheets/other-p1-ours-shared-s0.jpg").read_bytes() == b"jpeg"
    build_page(Board(records, sheet=sheet, damages=["broken.json: no record"]), tmp_path / "page")
    assert "broken.json" in (tmp_path / "page/index.html").read_text(encoding="utf-8"), "the first page has changed"
    assert drawn == []
    changed = [*eight_seeds(), *eight_seeds(protocol="other", commit="1" * 40)]
    build_page(Board(changed, sheet=sheet), tmp_path / "page")
    assert "1111111" in (tmp_path / "page/tasks/other-p1-shared.html").read_text(encoding="utf-8")
    for change in ({"strategies": {"ours": About("Me 2020", "hybrid", "", "", "New.")}}, {"code": "other"}):
        drawn.clear()
        build_page(Board(changed, sheet=sheet, **change), tmp_path / "page")
        assert drawn
    drawn.clear()
    monkeypatch.setattr(pieces, "code_digest", lambda: "another template")
    build_page(Board(changed, sheet=sheet, code="other"), tmp_path / "page")
    assert len(drawn) == 4
