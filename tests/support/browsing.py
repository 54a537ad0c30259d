"""Pages of the leaderboard in a browser: what is on them, and how they are opened."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
IN_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt install chromium, or name one in CHROMIUM"),
]
NAMES = ("random", "learning-loss", *(f"strategy-{place}" for place in range(12)))
TASK = "tasks/cifar10-mini-p1-shared.html"
KINDS = {"cifar10-mini": "classification", "voc-mini": "detection", "lsp-mini": "pose"}


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


def names_in(page: Page, table: str) -> list[str]:
    return page.locator(f"#{table} tbody th a").all_inner_texts()
