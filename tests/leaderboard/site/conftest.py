"""The site of made-up records, opened in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import CHROMIUM, KINDS, NAMES
from fake_records import make_record, realistic_records
from playwright.sync_api import Browser, Page, sync_playwright

from leaderboard.scoring.board import About, Board
from leaderboard.site.page import build_page


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
