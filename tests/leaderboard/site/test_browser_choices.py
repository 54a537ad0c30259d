"""What a visitor chooses on the first page and when comparing, in a real browser: filters, columns, addresses, files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from browsing import IN_BROWSER, NAMES, column, names_in, opened
from fake_records import realistic_records
from playwright.sync_api import Browser, Page

from leaderboard.scoring.sections import sections
from leaderboard.scoring.statistics import interval, paired

pytestmark = IN_BROWSER


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
