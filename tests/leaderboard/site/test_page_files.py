"""The files of a site: complete, linked, without network access, and safe from untrusted texts."""

from __future__ import annotations

import re
import time
from pathlib import Path

import altair as alt
import pytest
from fake_records import make_record, realistic_records
from pages import Structure, built, text_of

from leaderboard.charts import vega
from leaderboard.schema.badges import Badge
from leaderboard.schema.records import read_record
from leaderboard.scoring.board import About, Board
from leaderboard.site import page
from leaderboard.site.page import build_page
from leaderboard.site.pieces import MANIFEST

bundled = vega.script


@pytest.fixture(autouse=True)
def short_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundling Vega takes most of a build: once, in the test of the bundle, is enough."""
    monkeypatch.setattr(page.vega, "script", lambda: "/* vega */")


@pytest.mark.slow
def test_the_page_depends_on_the_records_and_not_on_their_order(tmp_path: Path) -> None:
    records = realistic_records()
    built(records, tmp_path / "one")
    built(records[::-1], tmp_path / "two")
    for path in sorted(path for path in (tmp_path / "one").rglob("*.*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_every_link_leads_to_a_file_of_the_page_or_an_anchor(tmp_path: Path) -> None:
    records = realistic_records(2)
    built(records, tmp_path / "page")
    linked: set[Path] = set()
    for path in (tmp_path / "page").rglob("*.html"):
        structure = Structure(path.read_text(encoding="utf-8"))
        assert len(structure.identifiers) == len(set(structure.identifiers))
        for address in set(structure.addresses) - {"data:,"}:
            place, _, anchor = address.partition("#")
            target = (path.parent / place).resolve() if place else path.resolve()
            assert target.is_file(), address
            assert not anchor or f'id="{anchor}"' in target.read_text(encoding="utf-8")
            linked.add(target)
    assert {path for path in (tmp_path / "page").rglob("*") if path.is_file() and path.name != MANIFEST} == linked
    stored = [read_record(path) for path in linked if path.parent.parent.name == "records"]
    assert sorted(map(str, stored)) == sorted(map(str, records))


@pytest.mark.slow
def test_pages_load_nothing_from_a_network(tmp_path: Path) -> None:
    built(realistic_records(2), tmp_path / "page")
    addresses = {
        address
        for path in (tmp_path / "page").rglob("*.html")
        for address in re.findall(r"https?://[^\"'\s)]+", path.read_text(encoding="utf-8"))
    }
    assert addresses == {vega.SCHEMA}
    assert f"v{vega.VERSION}" == alt.SCHEMA_VERSION


@pytest.mark.slow
def test_the_bundle_is_a_classic_script_that_defines_vega_embed() -> None:
    bundle = bundled()
    assert "window.vegaEmbed=" in bundle
    assert not re.search(r"^\s*(import|export)\s", bundle, flags=re.MULTILINE)


HOSTILE = '</script><script>alert(1)</script>"><img src=x onerror=alert(1)>{{ 7777 * 7 }}'


def test_untrusted_texts_are_escaped(tmp_path: Path) -> None:
    def page_of(text: str, folder: Path) -> list[str]:
        metric = make_record().metric.model_copy(update={"name": text, "unit": text})
        machine = make_record().machine.model_copy(update={"processor": text, "device": text})
        record = make_record(
            metric=metric,
            machine=machine,
            commit=text,
            group_names=(text, "ring"),
            config={text: text},
            strategy_config={text: text},
        )
        first = record.rounds[0].model_copy(update={"group_counts": (1, 2)})
        record = record.model_copy(update={"rounds": (first, *record.rounds[1:])})
        build_page(Board([record], {"random": About(text, text, text, text, text)}, damages=[text]), folder)
        return [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.html"))]

    hostile, plain = page_of(HOSTILE, tmp_path / "hostile"), page_of("harmless", tmp_path / "plain")
    for theirs, ours in zip(hostile, plain, strict=True):
        assert Structure(theirs).tags == Structure(ours).tags
        assert "<script>alert" not in theirs
        assert "onerror=alert(1)>" not in theirs
        assert "&lt;script&gt;alert(1)" in theirs or "harmless" not in text_of(ours)
        assert "54439" not in theirs


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "..", "/etc/a", "a\\b", "con\x00", "x" * 400, "", "ü %2e", HOSTILE]
)
def test_names_that_are_not_file_names_are_refused_in_a_record(name: str) -> None:
    for field in ("strategy", "protocol"):
        with pytest.raises(ValueError, match=field):
            make_record(**{field: name})


def test_a_new_page_replaces_the_old_one_whole(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    build_page(Board([make_record(strategy="old")]), folder)
    build_page(Board([make_record(strategy="new")]), folder)
    assert [path.name for path in (folder / "records").rglob("*.json")] == ["new-shared-s0.json"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failed_build_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "page"
    before = built([make_record()], folder)

    def broken(*_: object) -> None:
        raise OSError("no space left")

    for name in ("section_link", "_swap"):
        with monkeypatch.context() as patch:
            patch.setattr(page, name, broken)
            with pytest.raises(OSError, match="no space left"):
                build_page(Board([make_record(seed=1)]), folder)
        assert (folder / "index.html").read_text(encoding="utf-8") == before
        assert list(tmp_path.iterdir()) == [folder]


def test_a_badge_that_changes_reaches_every_page(tmp_path: Path) -> None:
    records = [make_record(strategy=name, seed=seed) for name in ("random", "mine", "other") for seed in range(2)]
    for state in ("self-reported", "failed"):
        board = Board(records, badges={"mine": Badge(state=state)})
        build_page(board, tmp_path / "again")
    build_page(board, tmp_path / "afresh")
    for path in (tmp_path / "afresh").rglob("*.html"):
        again = tmp_path / "again" / path.relative_to(tmp_path / "afresh")
        assert again.read_text(encoding="utf-8") == path.read_text(encoding="utf-8")


def test_an_interrupted_swap_loses_no_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, board = tmp_path / "page", Board([make_record()])
    build_page(board, folder, "2026-01-01")
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.suffix == ".part":
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build_page(board, folder)
    assert (folder / "snapshots/2026-01-01").is_dir()
    folder.rename(tmp_path / ".page.old")  # as after a kill between the two renames
    build_page(board, folder)
    assert (folder / "snapshots/2026-01-01").is_dir()
    assert [*tmp_path.iterdir()] == [folder]


def test_a_folder_that_is_no_page_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not empty and not an earlier page"):
        build_page(Board([make_record()]), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.slow
def test_two_thousand_records_make_a_page_within_a_minute(tmp_path: Path) -> None:
    names = ["random", "learning-loss", *(f"strategy-{place}" for place in range(28))]
    records = realistic_records(23, names)[:2000]
    started = time.process_time()
    index = build_page(Board(records), tmp_path / "page")
    assert time.process_time() - started < 60
    assert index.stat().st_size < 1e6
