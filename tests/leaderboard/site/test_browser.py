"""The site in a real browser: sorting, filtering and toggling work, nothing is cut off, and nothing is loaded from a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_records import make_record, realistic_records
from playwright.sync_api import Browser, Page, sync_playwright

from leaderboard.scoring.board import About, Board
from leaderboard.site.page import build_page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt install chromium, or name one in CHROMIUM"),
]
NAMES = ("random", "learning-loss", *(f"strategy-{place}" for place in range(12)))
TASK = "tasks/cifar10-mini-p1-shared.html"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three tasks and fourteen strategies."""
    kinds = {
        name: About("Me 2020", "hybrid" if name[-1] in "02468" else "diversity", "taps", "N", "") for name in NAMES
    }
    records = [*realistic_records(3, NAMES), make_record((1.0, 2.0), strategy="a" * 60, protocol="b" * 60)]
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
    page.goto((site / name).as_uri())
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
        for each in page.locator("h1, h2, p, li, dd, figcaption, .legend button, summary").all():
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


def test_ranks_are_filtered(page: Page, site: Path) -> None:
    opened(page, site, "index.html")
    every = column(page, "table.filtered", 1)
    page.locator("[data-filter=protocol]").select_option("voc-mini")
    page.locator("[data-filter=kind]").select_option("hybrid")
    assert set(column(page, "table.filtered", 2)) == {"voc-mini"}
    assert set(column(page, "table.filtered", 1)) == {name for name in NAMES if name[-1] in "02468"}
    assert page.locator(".filters output").inner_text() == f"6 of {len(every)}"
    page.locator("[data-most=seconds]").select_option("0.1")
    assert column(page, "table.filtered", 1) == []
    for select in page.locator(".filters select").all():
        select.select_option(index=0)
    assert column(page, "table.filtered", 1) == every


def lines(page: Page) -> int:
    return page.locator("[data-spec=curves-spec] .mark-line path").count()


def test_strategies_are_switched_on_and_off(page: Page, site: Path) -> None:
    opened(page, site, TASK)
    on = page.locator(".toggle[aria-pressed=true]")
    assert lines(page) == on.count() == 8
    page.locator(".toggle[data-strategy=random]").click()
    page.wait_for_function("document.querySelectorAll('[data-spec=curves-spec] .mark-line path').length === 7")
    page.locator(".every[data-show=all]").click()
    page.wait_for_function("document.querySelectorAll('[data-spec=curves-spec] .mark-line path').length === 14")
    page.locator(".every[data-show=none]").click()
    page.wait_for_function("document.querySelectorAll('[data-spec=curves-spec] .mark-line path').length === 0")


def test_a_point_has_a_tooltip_with_its_numbers(page: Page, site: Path) -> None:
    opened(page, site, TASK)
    chart = page.locator("[data-spec=curves-spec]")
    chart.scroll_into_view_if_needed()
    chart.locator(".mark-symbol path").last.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    for word in ("strategy", "labeled images", "accuracy (%)", "95 % from", "seeds"):
        assert word in tooltip.inner_text()


def test_every_chart_has_an_alternative_text(page: Page, site: Path) -> None:
    for path in sorted(site.rglob("*.html")):
        opened(page, site, str(path.relative_to(site)))
        for chart in page.locator(".chart svg.marks").all():
            assert len(chart.locator("[role=graphics-document], [aria-roledescription]").all()) or chart.get_attribute(
                "aria-label"
            )
