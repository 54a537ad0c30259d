"""The site in a real browser: sorting, filtering and toggling work, nothing is cut off, and nothing is loaded from a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_records import make_record, realistic_records
from playwright.sync_api import Browser, Page, sync_playwright

from leaderboard.scoring.board import About, Board
from leaderboard.scoring.sections import sections
from leaderboard.scoring.statistics import interval, paired
from leaderboard.site.page import build_page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt install chromium, or name one in CHROMIUM"),
]
NAMES = ("random", "learning-loss", *(f"strategy-{place}" for place in range(12)))
TASK = "tasks/cifar10-mini-p1-shared.html"
KINDS = {"cifar10-mini": "classification", "voc-mini": "detection", "lsp-mini": "pose"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three tasks and fourteen strategies."""
    kinds = {
        name: About("Me 2020", "hybrid" if name[-1] in "02468" else "diversity", "taps", "N", "") for name in NAMES
    }
    records = [
        each.model_copy(update={"config": {"task": {"kind": KINDS[each.protocol]}}})
        for each in realistic_records(3, NAMES)
    ]
    records += [make_record((1.0, 2.0), strategy="a" * 60, protocol="b" * 60)]
    return build_page(Board(records, kinds), tmp_path_factory.mktemp("site") / "page").parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["desk", "phone"])
def page(browser: Browser, site: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that fails the test when it complains, or asks for anything that is not a file of its folder."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    inside = (site.as_uri(), "data:")
    page.on("request", lambda each: None if each.url.startswith(inside) else faults.append(each.url))
    yield page
    context.close()
    assert faults == []


def opened(page: Page, site: Path, name: str) -> Page:
    """The page, scrolled through once, so that all its charts are drawn."""
    path, _, state = name.partition("#")
    page.goto(f"{(site / path).as_uri()}#{state}" if state else (site / path).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    for chart in page.locator(".chart").all():
        chart.scroll_into_view_if_needed()
        chart.locator("svg.marks").wait_for()
    return page


def column(page: Page, table: str, number: int) -> list[str]:
    rows = page.locator(f"{table} tbody tr:not([hidden])")
    return [text.split("\n")[0].strip() for text in rows.locator(f"> :nth-child({number})").all_inner_texts()]


def test_every_page_opens_without_errors_and_fits_the_screen(page: Page, site: Path) -> None:
    for path in sorted(site.rglob("*.html")):
        opened(page, site, str(path.relative_to(site)))
        width = page.viewport_size["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        for each in page.locator(":is(h1, h2, p, li, dd, figcaption, .legend button, summary):not(.scroll *)").all():
            box = each.bounding_box()
            assert box is None or box["x"] + box["width"] <= width + 1, f"{path.name}: {each.inner_text()[:50]}"
        cut = page.evaluate(
            "Array.from(document.querySelectorAll('.chart svg.marks')).filter((svg) => Array.from("
            "svg.querySelectorAll('text')).some((text) => text.textContent && text.getAttribute('opacity') !== '0' && ("
            "text.getBoundingClientRect().left < svg.getBoundingClientRect().left - 1 || "
            "text.getBoundingClientRect().top < svg.getBoundingClientRect().top - 1))).length"
        )
        assert cut == 0, f"{path.name}: a chart cuts off a label"


def test_a_click_on_a_heading_sorts(page: Page, site: Path) -> None:
    opened(page, site, TASK)
    table = "section:has(#standings) table.sortable"
    before = column(page, table, 3)
    assert before == sorted(before, key=float, reverse=True)
    heading = page.locator(f"{table} thead th").nth(2)
    heading.locator("button").click()
    assert column(page, table, 3) == sorted(before, key=float)
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert column(page, table, 3) == before
    page.locator(f"{table} thead th").nth(0).locator("button").click()
    assert column(page, table, 1) == sorted(NAMES)
    assert heading.get_attribute("aria-sort") == "none"


def names_in(page: Page, table: str) -> list[str]:
    return page.locator(f"#{table} tbody th a").all_inner_texts()


def test_ranks_are_filtered_searched_and_folded(page: Page, site: Path) -> None:
    opened(page, site, "index.html")
    assert sorted(names_in(page, "board")) == sorted(NAMES)
    assert names_in(page, "board-few") == ["a" * 60], "one run is too few for a rank"
    assert "14 ranked on" in page.locator("#board-count").inner_text()
    page.locator("[name=search]").fill("hybrid")
    assert set(names_in(page, "board")) == {name for name in NAMES if name[-1] in "02468"}
    page.locator("[name=search]").fill("strategy-11")
    assert names_in(page, "board") == ["strategy-11"]


def test_the_kind_of_task_is_chosen_for_the_whole_page(page: Page, site: Path) -> None:
    opened(page, site, "index.html")
    rows, everything = page.locator("tr[data-kind]:visible"), page.locator("tr[data-kind]").count()
    assert rows.count() == everything > 1
    page.locator("#kinds [data-kind=detection]").click()
    assert rows.evaluate_all("rows => rows.map(row => row.dataset.kind)") == ["detection"]
    assert page.locator("figure[data-kind]:visible").count() == 1
    assert page.locator("[name=kind]").input_value() == "detection"
    assert "kind=detection" in page.url
    page.locator("#kinds [data-kind='']").click()
    assert rows.count() == everything


def test_columns_are_chosen_and_sorted(page: Page, site: Path) -> None:
    opened(page, site, "index.html")
    headings = page.locator("#board thead .sort")
    before = headings.count()
    page.locator("[name=column][value=year]").check()
    page.locator("[name=column][value=gain]").uncheck()
    assert "year" in headings.all_inner_texts()
    assert headings.count() < before
    page.locator("#board [data-column=won]").click()
    won = [int(text.split(" of")[0]) for text in column(page, "#board", 4) if " of" in text]
    assert len(won) == 13
    assert won == sorted(won, reverse=True)
    assert page.locator("#board th:has([data-column=won])").get_attribute("aria-sort") == "descending"


def test_a_column_of_gains_is_sorted_both_ways(page: Page, site: Path) -> None:
    """Its id has hyphens, as the names of protocols do."""
    opened(page, site, "index.html")
    place = page.locator("#board thead th").all_inner_texts()
    number = next(i for i, text in enumerate(place, 1) if text.startswith("cifar10-mini"))
    for order in ("descending", "ascending"):
        page.locator("#board [data-column=gain-cifar10-mini]").click()
        heading = page.locator("#board th:has([data-column=gain-cifar10-mini])")
        assert heading.get_attribute("aria-sort") == order
        cells = [re.match("[+\u2212]([0-9.]+)", text) for text in column(page, "#board", number)]
        gains = [float(each[0].replace("\u2212", "-")) for each in cells if each]
        assert len(gains) > 9
        assert gains == sorted(gains, reverse=order == "descending")


def test_a_link_to_a_place_on_the_first_page_leads_there(page: Page, site: Path) -> None:
    opened(page, site, "history.html")
    page.get_by_role("link", name="Method").click()
    page.wait_for_function("document.getElementById('method')?.getBoundingClientRect().top < innerHeight")
    assert page.evaluate("scrollY") > 0
    assert page.url.endswith("index.html#method")


def test_a_changed_address_changes_the_page(page: Page, site: Path) -> None:
    opened(page, site, "index.html#kind=pose")
    page.evaluate("location.hash = 'kind=detection'")
    page.locator("tr[data-kind=detection]:visible").wait_for()
    assert page.locator("[name=kind]").input_value() == "detection"
    assert page.locator("tr[data-kind=pose]:visible").count() == 0


def test_an_unknown_state_in_the_address_counts_as_none(page: Page, site: Path) -> None:
    opened(page, site, "index.html")
    everything = page.locator("tr[data-kind]:visible").count()
    page.goto("about:blank")
    opened(page, site, "index.html#kind=x&regime=y&labels=z&chosen=random,random,nobody,strategy-1")
    assert page.locator("tr[data-kind]:visible").count() == everything
    assert "14 ranked" in page.locator("#board-count").inner_text()
    assert page.locator("#board-compare").inner_text() == "Compare random, strategy-1"


def test_the_focus_stays_in_the_table_of_few_runs(page: Page, site: Path) -> None:
    opened(page, site, "index.html")
    page.locator("#board-few [data-column=points]").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('table').id") == "board-few"


def test_the_address_holds_what_is_seen(page: Page, site: Path, browser: Browser) -> None:
    opened(page, site, "index.html")
    page.locator("[name=labels]").select_option("few")
    page.locator("[name=search]").fill("strategy-1")
    page.locator("#board [data-strategy=strategy-1]").check()
    seen = names_in(page, "board")
    again = page.context.new_page()
    again.goto(page.url)
    assert names_in(again, "board") == seen
    assert again.locator("[name=labels]").input_value() == "few"
    assert again.locator("#board [data-strategy=strategy-1]").is_checked()
    again.close()


def test_what_is_seen_can_be_downloaded(page: Page, site: Path) -> None:
    opened(page, site, "index.html")
    page.locator("[name=search]").fill("strategy-1")
    with page.expect_download() as waiting:
        page.locator("#board-csv").click()
    lines = Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("strategy,rank")
    assert len(lines) == 1 + len(names_in(page, "board"))
    with page.expect_download() as waiting:
        page.locator("#board-json").click()
    rows = json.loads(Path(waiting.value.path()).read_text(encoding="utf-8"))
    assert [row["strategy"] for row in rows] == names_in(page, "board")


def test_chosen_strategies_are_compared(page: Page, site: Path) -> None:
    opened(page, site, "index.html")
    for name in ("random", "strategy-1", "strategy-2", "strategy-3"):
        page.locator(f"#board [data-strategy={name}]").check()
    page.locator("#board-compare").click()
    page.wait_for_function("document.querySelector('[name=first]')?.value")  # set by the script of the next page
    chosen = [page.locator(f"[name={place}]").input_value() for place in ("first", "second", "third")]
    assert chosen == ["strategy-1", "strategy-2", "strategy-3"], "the last three"
    page.locator("[name=task]").select_option("cifar10-mini-1-shared")
    page.locator("[name=second]").select_option("random")
    page.locator("[name=third]").select_option("")
    (section,) = [each for each in sections(realistic_records(3, NAMES)) if each.key.protocol == "cifar10-mini"]
    ours, random = (section.by_name[name].by_seed(lambda record: record.score[-1]) for name in ("strategy-1", "random"))
    mean, lower, upper = interval(paired(ours, random))
    shown = page.locator("#compare-differences tbody tr:last-child td:last-child").inner_text()
    found = [float(each.replace("\u2212", "-")) for each in re.findall(r"[+\u2212]?[0-9.]*[0-9]", shown)]
    assert found == pytest.approx([mean, lower, upper], abs=0.011)
    assert page.locator("#compare-scores polyline").count() == 2


def test_compared_strategies_look_different_and_are_not_swapped_unsaid(page: Page, site: Path) -> None:
    opened(page, site, "compare.html#task=cifar10-mini-1-shared&strategies=strategy-1,strategy-1,strategy-2")
    marks = page.locator("#compare-scores path").evaluate_all(
        'each => each.map((one) => one.outerHTML.match(/ d=.*fill=.[^"]*/)[0])'
    )
    assert len(set(marks)) == 2
    assert page.locator("[name=third]").input_value() == "", "one of two equal ones is left out"
    page.locator("[name=task]").select_option(label=page.locator("[name=task] option", has_text="bbb").inner_text())
    assert "Not run on this protocol: strategy-1, strategy-2." in page.locator("#compare-facts").inner_text()
    page.locator("[name=task]").select_option("cifar10-mini-1-shared")
    assert page.locator("[name=first]").input_value() == "strategy-1", "what was chosen is kept"


AXE = "axe-core@4"
"""A package of npm: the accessibility rules that browsers' tools use."""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), AXE]
    if subprocess.run(command, capture_output=True, check=False, timeout=120).returncode:
        pytest.skip(f"npm does not get {AXE}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


def test_axe_finds_nothing_serious(page: Page, site: Path, axe: str) -> None:
    for path in ("index.html", "compare.html", "history.html", TASK, "strategies/strategy-1.html"):
        opened(page, site, path)
        page.evaluate(axe)
        found = page.evaluate("axe.run({ preload: false }).then((result) => result.violations)")
        serious = [
            (each["id"], each["nodes"][0]["html"][:120]) for each in found if each["impact"] in {"serious", "critical"}
        ]
        assert serious == [], path


def test_the_table_works_by_keyboard(page: Page, site: Path) -> None:
    opened(page, site, "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#board [data-column=points]").focus()
    page.keyboard.press("Enter")
    assert page.locator("#board th:has([data-column=points])").get_attribute("aria-sort") == "descending"
    assert page.evaluate("document.activeElement.dataset.column") == "points", "the focus stays"
    page.keyboard.press("Enter")
    assert page.locator("#board th:has([data-column=points])").get_attribute("aria-sort") == "ascending"
    page.locator("#board [data-strategy=random]").focus()
    page.keyboard.press("Space")
    assert page.locator("#board [data-strategy=random]").is_checked()


def lines(page: Page) -> int:
    return page.locator("[data-spec=curves-spec] .mark-line path").count()


def test_strategies_are_switched_on_and_off(page: Page, site: Path) -> None:
    opened(page, site, TASK)
    on = page.locator(".toggle[aria-pressed=true]")
    legends = page.locator(".legend:has(.toggle)").count()
    assert lines(page) == on.count() / legends == 8
    page.locator(".toggle[data-strategy=random]").first.click()
    page.wait_for_function("document.querySelectorAll('[data-spec=curves-spec] .mark-line path').length === 7")
    assert {each.get_attribute("aria-pressed") for each in page.locator(".toggle[data-strategy=random]").all()} == {
        "false"
    }
    page.locator(".every[data-show=all]").last.click()
    page.wait_for_function("document.querySelectorAll('[data-spec=curves-spec] .mark-line path').length === 14")
    page.locator(".every[data-show=none]").first.click()
    page.wait_for_function("document.querySelectorAll('[data-spec=curves-spec] .mark-line path').length === 0")


def test_a_point_has_a_tooltip_with_its_numbers(page: Page, site: Path) -> None:
    opened(page, site, TASK)
    chart = page.locator("[data-spec=curves-spec]")
    chart.scroll_into_view_if_needed()
    chart.locator(".mark-symbol path").last.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    for word in ("strategy", "labeled images", "accuracy (%)", "95 % interval", "seeds"):
        assert word in tooltip.inner_text()


def test_what_is_not_known_is_said_in_words(page: Page, site: Path) -> None:
    """Random has no gain over itself, and one seed no interval."""
    for path in (TASK, f"tasks/{'b' * 60}-p1-shared.html"):
        opened(page, site, path)
        labels = page.evaluate("[...document.querySelectorAll('.chart [aria-label]')].map((each) => each.ariaLabel)")
        assert len(labels) > 5
        assert [label for label in labels if re.search(r"NaN|null|undefined|Infinity", label)] == []


def test_every_chart_has_an_alternative_text(page: Page, site: Path) -> None:
    for path in sorted(site.rglob("*.html")):
        opened(page, site, str(path.relative_to(site)))
        for chart in page.locator(".chart svg.marks").all():
            assert len(chart.locator("[role=graphics-document], [aria-roledescription]").all()) or chart.get_attribute(
                "aria-label"
            )
        for panel in page.locator("svg.panel").all():
            assert panel.get_attribute("aria-label"), path.name
