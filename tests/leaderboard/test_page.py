"""The page: the same numbers as its records, and nothing that a name can break."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fake_records import make_record, realistic_records

from leaderboard.charts import vega
from leaderboard.charts.curves import curve_chart
from leaderboard.charts.styles import styles
from leaderboard.schema.badges import Badge
from leaderboard.schema.published import Published, read_published
from leaderboard.schema.records import Record, read_record
from leaderboard.scoring.board import About, Board, Lead, Sheet
from leaderboard.scoring.contrasts import Plan
from leaderboard.scoring.sections import sections
from leaderboard.site import page
from leaderboard.site.page import build_page, section_link

bundled = vega.script


@pytest.fixture(autouse=True)
def short_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundling Vega takes most of a build: once, in the test of the bundle, is enough."""
    monkeypatch.setattr(page.vega, "script", lambda: "/* vega */")


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


def built(records: list[Record], folder: Path, **more: Any) -> str:
    return build_page(Board(records, **more), folder).read_text(encoding="utf-8")


def task_page(records: list[Record], folder: Path, **more: Any) -> str:
    """The page of the first section."""
    build_page(Board(records, **more), folder)
    return (folder / section_link(sections(records)[0])).read_text(encoding="utf-8")


def three_seeds() -> list[Record]:
    records = [make_record((10.0, 20.0 + seed), strategy="ours", seed=seed) for seed in (0, 1, 2)]
    return records + [make_record((10.0, 12.0 - seed), seed=seed) for seed in (0, 1, 2)]


def test_the_task_page_holds_the_numbers_and_their_units(tmp_path: Path) -> None:
    text = text_of(task_page(three_seeds(), tmp_path / "page"))
    assert "shapes-mini Shared recipe · protocol 1 · ranked by the mean accuracy (%)" in text
    assert (
        "ours 1 15.50 14.26 … 16.74 21.00 18.52 … 23.48 +5.00 +2.52 … +7.48 \N{EN DASH} 1.00 "
        "109 107 … 111 0.600 0.600 … 0.600 0.500 0.250 0.250 10.5 512 3" in text
    )
    assert "random 2 10.50 9.26 … 11.74 11.00 8.52 … 13.48 \N{EN DASH} \N{EN DASH} \N{EN DASH} 2 of 3 do" in text
    assert "3 seeds show that it runs, not who wins." in text
    assert "Seconds and memory are of Xeon, cpu, 1 thread." in text


def test_the_overview_ranks_and_compares(tmp_path: Path) -> None:
    text = text_of(built(three_seeds(), tmp_path / "page", strategies={"ours": OURS}))
    assert "6 runs · 1 task · 2 strategies" in text
    assert "ours hybrid shapes-mini shared 1 15.50 14.26 … 16.74 +5.00 +2.52 … +7.48 1.00 1.00 3" in text
    assert "random not given shapes-mini shared 2" in text


OURS = About("Me 2020", "hybrid", "taps", "N K", "Picks well.")


def test_the_strategy_page_says_what_it_is(tmp_path: Path) -> None:
    records = [*three_seeds(), make_record(strategy="ours", seed=3, strategy_config={"power": 2.0})]
    records = [each for each in records if each.seed != 3] + [
        make_record((10.0, 20.0), strategy="theirs", strategy_config={"power": 2.5})
    ]
    build_page(Board(records, {"ours": OURS}), tmp_path / "page")
    text = text_of((tmp_path / "page/strategies/ours.html").read_text(encoding="utf-8"))
    assert "Picks well. paper Me 2020 kind hybrid needs taps cost N K" in text
    assert "Rank 1 of 3: area 15.50, +5.00 to random; selects in 1.00 s a round. 3 seeds." in text
    assert "random 100.0 %" in text
    assert "It has no hyper-parameters." in text
    assert "power 2.5" in text_of((tmp_path / "page/strategies/theirs.html").read_text(encoding="utf-8"))


def test_planned_comparisons_carry_a_p_and_nothing_else_does(tmp_path: Path) -> None:
    plan = Plan("board", (("shapes-mini", 1),), ("shared",), (0, 1, 2), (("ours", "random"),))
    text = text_of(task_page(three_seeds(), tmp_path / "page", plans=[plan]))
    assert "ours \N{MINUS SIGN} random board +5.0000 +2.5159 … +7.4841 3 0.2500 0.2500" in text
    assert "Planned comparisons" not in text_of(task_page(three_seeds(), tmp_path / "other"))


def test_tasks_of_a_plan_come_first() -> None:
    plan = Plan("board", (("shapes-mini", 1),), ("shared",), (0,), (("ours", "random"),))
    records = [make_record(protocol="another"), make_record()]
    assert [each.key.protocol for each in Board(records, plans=[plan]).sections] == ["shapes-mini", "another"]
    assert [each.key.protocol for each in Board(records).sections] == ["another", "shapes-mini"]


def test_references_are_not_ranked(tmp_path: Path) -> None:
    records = [*three_seeds(), make_record((90.0, 90.0), strategy="oracle", reference=True)]
    assert "oracle not ranked 90.00" in text_of(task_page(records, tmp_path / "page"))


def test_the_full_pool_gives_gains(tmp_path: Path) -> None:
    full = [make_record((80.0 + seed,), strategy="full-pool", reference=True, seed=seed) for seed in (0, 1)]
    records = [*three_seeds(), *full]
    text = text_of(task_page(records, tmp_path / "page"))
    assert "A model trained on the whole pool scores 80.50 (2 seeds)." in text
    assert "gain" in text
    assert "full-pool" not in built(records, tmp_path / "other")


def test_no_gains_are_measured_in_a_full_pool_that_is_hardly_better(tmp_path: Path) -> None:
    full = [make_record((11.0 + 20 * seed,), strategy="full-pool", reference=True, seed=seed) for seed in (0, 1)]
    records = [*three_seeds(), *full]
    assert "2 seeds), too close to random to measure gains in." in text_of(task_page(records, tmp_path / "page"))
    assert "area \N{MINUS SIGN} random, accuracy" in text_of(built(records, tmp_path / "other"))


def test_published_figures_are_shown_with_their_source(tmp_path: Path) -> None:
    figures = Published(
        protocol="shapes-mini",
        tasks=("shapes-mini",),
        source="A paper",
        certainty="plot",
        labeled=(100, 200),
        scores={"random": (1.0, 2.0)},
    )
    html = task_page(three_seeds(), tmp_path / "page", published=[figures])
    assert "A paper (read off the plot, within .003)" in text_of(html)
    assert "Thin dotted lines" in html
    (section,) = sections(three_seeds())
    line = curve_chart(section, styles(section.by_name), [figures]).to_dict()["layer"][-2]
    assert line["mark"]["strokeDash"] == [1, 3]
    assert "strokeDash" not in line["encoding"], "it would draw the line solid"
    other = figures.model_copy(update={"protocol": "shapes"})
    assert "Of another protocol" in task_page(three_seeds(), tmp_path / "other", published=[other])


def test_what_the_repository_quotes_can_be_read() -> None:
    found = read_published()
    assert {each.certainty for each in found} <= {"plot", "raw", "quoted"}
    assert found[0].scores["learning-loss"][-1] == 0.910


def test_the_history_follows_the_years_of_the_papers(tmp_path: Path) -> None:
    known = {"ours": OURS, "old": OURS._replace(paper="They 1999"), "worse": OURS._replace(paper="You 2010")}
    known["oldest"] = OURS._replace(paper="Nobody 1990")
    areas = {"oldest": 3.0, "random": 3.5, "old": 5.0, "worse": 4.0, "ours": 6.0}
    records = [make_record((area,), strategy=name) for name, area in areas.items()]
    (section,) = sections(records)
    assert Board(records, known).history(section) == [Lead(1999, "old", 5.0), Lead(2020, "ours", 6.0)]


def test_pictures_of_picks_are_shown_with_their_text(tmp_path: Path) -> None:
    build_page(Board([make_record()], sheet=lambda _: Sheet(b"png", "What it picked.")), tmp_path / "page")
    html = (tmp_path / "page/strategies/random.html").read_text(encoding="utf-8")
    assert (tmp_path / "page/sheets/shapes-mini-p1-random-shared-s0.png").read_bytes() == b"png"
    assert 'src="../sheets/shapes-mini-p1-random-shared-s0.png" alt="What it picked."' in html


def test_the_page_depends_on_the_records_and_not_on_their_order(tmp_path: Path) -> None:
    records = realistic_records()
    built(records, tmp_path / "one")
    built(records[::-1], tmp_path / "two")
    for path in sorted((tmp_path / "one").rglob("*.*")):
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
            target = (path.parent / place).resolve()
            assert target.is_file(), address
            assert not anchor or f'id="{anchor}"' in target.read_text(encoding="utf-8")
            linked.add(target)
    assert {path for path in (tmp_path / "page").rglob("*") if path.is_file()} == linked
    stored = [read_record(path) for path in linked if path.suffix == ".json"]
    assert sorted(map(str, stored)) == sorted(map(str, records))


def test_nothing_is_asked_of_a_network(tmp_path: Path) -> None:
    built(realistic_records(2), tmp_path / "page")
    addresses = {
        address
        for path in (tmp_path / "page").rglob("*.html")
        for address in re.findall(r"https?://[^\"'\s)]+", path.read_text(encoding="utf-8"))
    }
    assert addresses == {f"https://vega.github.io/schema/vega-lite/{vega.alt.SCHEMA_VERSION}.json"}


def test_the_bundle_is_a_classic_script_that_defines_vega_embed() -> None:
    bundle = bundled()
    assert "window.vegaEmbed=" in bundle
    assert not re.search(r"^\s*(import|export)\s", bundle, flags=re.MULTILINE)


HOSTILE = '</script><script>alert(1)</script>"><img src=x onerror=alert(1)>{{ 7 * 7 }}'


def test_texts_from_strangers_stay_text(tmp_path: Path) -> None:
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
        assert "&lt;script&gt;alert(1)" in theirs
    assert "49" not in text_of(hostile[0])


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "..", "/etc/a", "a\\b", "con\x00", "x" * 400, "", "ü %2e", HOSTILE]
)
def test_names_that_are_no_file_names_never_become_a_record(name: str) -> None:
    for field in ("strategy", "task"):
        with pytest.raises(ValueError, match=field):
            make_record(**{field: name})


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    records = [
        make_record(),
        make_record((98.7,), strategy="half", planned_rounds=3, seed=4),
        make_record((97.6, 97.6, 97.6), strategy="tried", split="validation"),
    ]
    text = text_of(built(records, tmp_path / "page", damages=["a.json: not a valid record"]))
    assert "1 run · 1 task · 1 strategy" in text
    assert "a planned round is missing: 1 run. shapes-mini, half, seed 4 (1 of 3 rounds)" in text
    assert "validation split, which serves choices: 1 run." in text
    assert "1 file could not be used: a.json: not a valid record" in text
    assert "98.7" not in text
    assert "97.6" not in text


def test_without_records_the_page_says_so(tmp_path: Path) -> None:
    assert "There is no complete test record yet." in built([], tmp_path / "page")


def test_different_machines_are_said_to_differ(tmp_path: Path) -> None:
    other = make_record().machine.model_copy(update={"device": "cuda", "threads": 4})
    text = text_of(task_page([make_record(), make_record(seed=1, machine=other)], tmp_path / "page"))
    assert "Run on Xeon, cpu, 1 thread; Xeon, cuda, 4 threads. Seconds from different machines do not compare." in text
    assert "Runs on other machines count for scores only." in text


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


def test_a_folder_that_is_no_page_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="holds something else than an earlier page"):
        build_page(Board([make_record()]), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_badge_vouches_for_what_was_rerun_and_a_failed_submission_is_not_ranked(tmp_path: Path) -> None:
    good = Badge(state="verified", replayed=(("shapes-mini", "shared", 0),))
    records = [
        *three_seeds(),
        make_record((99.0, 99.0), strategy="bad"),
        make_record(strategy="ours", protocol="other"),
    ]
    badges = {"ours": good, "bad": Badge(state="failed", faults=("picks <b>swapped</b>",))}
    board = Board(records, {"ours": OURS, "bad": OURS}, badges=badges)
    text = text_of(build_page(board, tmp_path / "page").read_text(encoding="utf-8"))
    assert "ours verified hybrid shapes-mini shared 1" in text
    assert "ours self-reported hybrid other shared 1" in text
    assert "bad failed hybrid shapes-mini shared not ranked" in text
    page = (tmp_path / "page/strategies/bad.html").read_text(encoding="utf-8")
    assert "Not ranked: it failed its verification" in text_of(page)
    assert "picks &lt;b&gt;swapped" in page
    assert [lead.strategy for lead in board.history(board.sections[1])] == ["ours"]
    assert board.history(board.sections[0]) == []


@pytest.mark.parametrize(
    ("paper", "year"),
    [
        ("Me 2020", 2020),
        ("arXiv 1905.03677, CVPR 2019", 2019),
        ("Shannon 1948", None),
        ("none", None),
        ("in 19999", None),
    ],
)
def test_the_year_of_a_paper(paper: str, year: int | None) -> None:
    assert OURS._replace(paper=paper).year == year


@pytest.mark.slow
def test_two_thousand_records_make_a_page_within_a_minute(tmp_path: Path) -> None:
    names = ["random", "learning-loss", *(f"strategy-{place}" for place in range(28))]
    records = realistic_records(23, names)[:2000]
    started = time.process_time()
    index = build_page(Board(records), tmp_path / "page")
    assert time.process_time() - started < 60
    assert index.stat().st_size < 3e6
