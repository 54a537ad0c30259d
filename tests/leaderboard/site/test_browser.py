"""The site in a real browser: charts are drawn and toggled, nothing is cut off, and nothing is loaded from a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from browsing import IN_BROWSER, NAMES, TASK, column, opened
from playwright.sync_api import Page

pytestmark = IN_BROWSER


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
        for chart in page.locator(".chart:has(svg.marks)").all():
            spec = json.loads(page.locator(f"#{chart.get_attribute('data-spec')}").text_content() or "")
            assert spec["description"]
            drawing = chart.locator("xpath=descendant-or-self::*[@role='graphics-document']").first
            assert drawing.get_attribute("aria-label") == spec["description"]
        for panel in page.locator("svg.panel").all():
            assert panel.get_attribute("aria-label"), path.name


def test_a_dark_page_is_printed_in_dark_ink_on_white(page: Page, site: Path) -> None:
    page.emulate_media(color_scheme="dark")
    opened(page, site, TASK)
    page.emulate_media(media="print", color_scheme="dark")

    def colors(selector: str, name: str) -> set[str]:
        script = "(found, name) => found.map((each) => getComputedStyle(each)[name])"
        return set(page.locator(selector).evaluate_all(script, name))

    assert colors("body", "backgroundColor") == {"rgb(255, 255, 255)"}
    texts = ".role-axis-label text, .role-axis-title text, .role-legend-label text, .role-legend-title text"
    assert colors(texts, "fill") == {"rgb(59, 67, 76)"}
    assert colors(".role-axis-grid line", "stroke") == {"rgb(227, 231, 235)"}
