"""The page, the charts and the terminal tables: the same numbers, and nothing that a name can break."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fake_records import make_record, realistic_records
from rich.console import Console

from leaderboard import charts, page
from leaderboard.charts import curve_spec, curves_png, styles
from leaderboard.page import build_page, record_link
from leaderboard.records import Record, RecordError, read_record
from leaderboard.scores import sections
from leaderboard.tables import number, seconds, seed_line, task_tables


@pytest.fixture(autouse=True)
def short_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundling Vega takes most of a build: once, in the test of the bundle, is enough."""
    monkeypatch.setattr(page, "script", lambda: "/* vega */")


def text_of(html: str) -> str:
    """What a reader sees: tags, scripts and styles taken out."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", " ", html, flags=re.DOTALL)))


class Structure(HTMLParser):
    """The tags of a page, the addresses that it names, and its identifiers."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.identifiers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src"}]
        self.identifiers += [value or "" for name, value in attrs if name == "id"]


def built(records: list[Record], folder: Path) -> str:
    return build_page(records, folder).read_text(encoding="utf-8")


def test_the_page_holds_the_numbers_and_their_units(tmp_path: Path) -> None:
    records = [make_record((10.0, 20.0 + seed), strategy="ours", seed=seed) for seed in (0, 1, 2)]
    records += [make_record((10.0, 12.0 - seed), seed=seed) for seed in (0, 1, 2)]
    text = text_of(built(records, tmp_path / "page"))
    assert "shapes-mini · protocol 1 · shared recipe" in text
    assert "ours 15.50 14.26 … 16.74 21.00 18.52 … 23.48 +5.00 +2.52 … +7.48 0.600 0.600 … 0.600 1.00 10.5 3" in text
    assert "random 10.50 9.26 … 11.74 11.00 8.52 … 13.48 \N{EN DASH} 0.600" in text
    assert "area mean accuracy (%)" in text
    assert "last score accuracy (%), 200 labels" in text
    assert "area \N{MINUS SIGN} random %, same seeds" in text
    assert "3 seeds show that it runs, not who wins." in text


def test_the_page_depends_on_the_records_and_not_on_their_order(tmp_path: Path) -> None:
    records = realistic_records()
    assert built(records, tmp_path / "one") == built(records[::-1], tmp_path / "two")


def test_every_link_leads_to_a_file_of_the_page_or_an_anchor(tmp_path: Path) -> None:
    records = realistic_records(2)
    html = built(records, tmp_path / "page")
    structure = Structure(html)
    linked = [address for address in structure.addresses if address.startswith("records/")]
    assert [read_record(tmp_path / "page" / address) in records for address in linked] == [True] * len(records)
    others = set(structure.addresses) - set(linked)
    anchors = {f"#section-{place}" for place in (1, 2, 3)}
    assert others == {"vega.js", "data:,"} | anchors
    assert {anchor[1:] for anchor in anchors} < set(structure.identifiers)
    assert len(structure.identifiers) == len(set(structure.identifiers))


def test_nothing_is_asked_of_a_network(tmp_path: Path) -> None:
    html = built(realistic_records(2), tmp_path / "page")
    assert set(re.findall(r"https?://[^\"'\s)]+", html)) == {f"https://vega.github.io/schema/vega-lite/{schema()}.json"}


def schema() -> str:
    return charts.alt.SCHEMA_VERSION


def test_the_bundle_is_a_classic_script_that_defines_vega_embed() -> None:
    bundle = charts.script()
    assert "window.vegaEmbed=" in bundle
    assert not re.search(r"^\s*(import|export)\s", bundle, flags=re.MULTILINE)


HOSTILE = '</script><script>alert(1)</script>"><img src=x onerror=alert(1)>'


def test_names_from_strangers_stay_text(tmp_path: Path) -> None:
    html = built([make_record(strategy=HOSTILE), make_record()], tmp_path / "page")
    plain = built([make_record(strategy="ours"), make_record()], tmp_path / "plain")
    assert Structure(html).tags == Structure(plain).tags
    assert "&lt;script&gt;alert(1)" in html
    spec = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, flags=re.DOTALL)
    assert spec
    assert HOSTILE in {row["strategy"] for rows in json.loads(spec[1])["datasets"].values() for row in rows}


@pytest.mark.parametrize("name", ["../../../etc/passwd", "..", "/etc/a", "a\\b", "con\x00", "x" * 400, "", "ü %2e"])
def test_file_names_stay_inside_the_page(name: str, tmp_path: Path) -> None:
    record = make_record(strategy=name, task=name)
    link = record_link(record)
    assert re.fullmatch(r"records/[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*\.json", link, flags=re.ASCII)
    build_page([record], tmp_path / "page")
    assert read_record(tmp_path / "page" / link) == record
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_names_that_look_alike_get_files_of_their_own() -> None:
    assert len({record_link(make_record(strategy=name)) for name in ("a/b", "a-b", "a b", "a\\b")}) == 4


def test_incomplete_and_validation_runs_are_left_out_and_named(tmp_path: Path) -> None:
    records = [
        make_record(),
        make_record((98.7,), strategy="half", planned_rounds=3, seed=4),
        make_record((97.6, 97.6, 97.6), strategy="tried", split="validation"),
    ]
    text = text_of(built(records, tmp_path / "page"))
    assert "1 run · 1 task · 1 strategy" in text
    assert "a planned round is missing: 1 run. shapes-mini, half, seed 4 (1 of 3 rounds)" in text
    assert "validation split, which serves choices: 1 run." in text
    assert "98.7" not in text
    assert "97.6" not in text


def test_without_records_the_page_says_so(tmp_path: Path) -> None:
    assert "There is no complete test record yet." in built([], tmp_path / "page")


def test_different_machines_are_said_to_differ(tmp_path: Path) -> None:
    other = make_record().machine.model_copy(update={"device": "cuda", "threads": 4})
    text = text_of(built([make_record(), make_record(seed=1, machine=other)], tmp_path / "page"))
    assert "Run on Xeon, cpu, 1 thread; Xeon, cuda, 4 threads. Seconds from different machines do not compare." in text


def test_a_new_page_replaces_the_old_one_whole(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    build_page([make_record(strategy="old")], folder)
    build_page([make_record(strategy="new")], folder)
    assert [path.name for path in (folder / "records").rglob("*.json")] == ["new-shared-s0.json"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failed_build_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "page"
    before = built([make_record()], folder)

    def broken(*_: object) -> None:
        raise OSError("no space left")

    for name in ("write_record", "_swap"):
        with monkeypatch.context() as patch:
            patch.setattr(page, name, broken)
            with pytest.raises(OSError, match="no space left"):
                build_page([make_record(seed=1)], folder)
        assert (folder / "index.html").read_text(encoding="utf-8") == before
        assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_is_no_page_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="holds something else than an earlier page"):
        build_page([make_record()], tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def drawn_values(spec: dict[str, Any]) -> list[dict[str, Any]]:
    line = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")
    return spec["datasets"][line.get("data", spec.get("data"))["name"]]


def test_the_chart_draws_the_means_and_their_intervals() -> None:
    records = [make_record((10.0 + seed, 20.0 + 2 * seed), seed=seed) for seed in range(3)]
    (section,) = sections(records)
    spec = curve_spec(section, styles(["random"]))
    assert [(row["labeled"], row["score"], row["seeds"]) for row in drawn_values(spec)] == [(100, 11, 3), (200, 22, 3)]
    band, line, _ = spec["layer"]
    assert len(spec["datasets"][band["data"]["name"]]) == 2
    assert line["encoding"]["y"]["title"] == "accuracy (%)"
    assert line["encoding"]["y"]["scale"]["zero"] is False


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_draw_no_band(seeds: int) -> None:
    (section,) = sections([make_record((1.0 + seed,), seed=seed) for seed in range(seeds)])
    spec = curve_spec(section, styles(["random"]))
    assert len(spec["datasets"][spec["layer"][0]["data"]["name"]]) == 0
    assert (drawn_values(spec)[0]["lower"] is None) == (seeds == 1)


def test_each_strategy_keeps_its_color_and_none_shares_a_style() -> None:
    few, many = styles(["random", "badge"]), styles([f"new_{place}" for place in range(15)] + ["random", "badge"])
    assert few["random"] == many["random"]
    assert few["badge"] == many["badge"]
    assert len(set(many.values())) == 17
    assert styles(["a", "learning-loss"])["learning-loss"] == styles(["learning-loss", "z"])["learning-loss"]


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    path = curves_png(realistic_records(2), tmp_path / "new" / "curves.png")
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert list(path.parent.iterdir()) == [path]


def test_without_a_complete_record_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no complete record to draw"):
        curves_png([make_record(planned_rounds=9)], tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def printed(records: list[Record]) -> str:
    console = Console(width=160, file=io.StringIO())
    for table in task_tables(records):
        console.print(table)
    return console.file.getvalue()


def test_the_terminal_shows_a_table_a_task() -> None:
    records = [make_record((10.0, 20.0 + seed), seed=seed) for seed in (0, 2)]
    records += [make_record((0.5,), task="other", strategy="[red]ours"), make_record((1.0,), planned_rounds=2, seed=9)]
    text = printed(records)
    assert len(task_tables(records)) == 2
    assert "shapes-mini · protocol 1 · shared recipe · accuracy (%) by labels" in text
    assert re.search(r"random +10\.00 +21\.00 +15\.50 +0\.600 +1\.00", text)
    assert "2 seeds show that it runs, not who wins. 1 incomplete run left out." in " ".join(text.split())
    assert re.search(r"\[red\]ours +0\.500 +0\.500 +0\.600 +\N{EN DASH}", text)


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ([1], "1 seed shows that it runs, not who wins."),
        ([3, 3], "3 seeds show that it runs, not who wins."),
        ([2, 8], "2 to 8 seeds show that it runs, not who wins."),
        ([5, 5], "5 seeds."),
    ],
)
def test_few_seeds_are_called_few(counts: list[int], line: str) -> None:
    assert seed_line(counts) == line


def test_numbers_for_people() -> None:
    assert [number(value, 2) for value in (1.234, -0.5, -0.001, float("nan"))] == [
        "1.23",
        "\N{MINUS SIGN}0.50",
        "0.00",
        "\N{EN DASH}",
    ]
    assert number(0.5, 1, sign=True) == "+0.5"
    assert [seconds(value) for value in (0.01234, 1.234, 12.34, 1234.5)] == ["0.012", "1.23", "12.3", "1234"]
