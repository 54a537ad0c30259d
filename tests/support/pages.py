"""Pages built for a test, and what a reader sees of them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from leaderboard.schema.records import Record
from leaderboard.scoring.board import Board
from leaderboard.scoring.sections import sections
from leaderboard.site.links import section_link
from leaderboard.site.page import build_page


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
