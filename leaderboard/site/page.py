"""Builds the static site of a board: a folder that opens from disk and loads nothing from a network."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from leaderboard.charts import vega
from leaderboard.charts.styles import MARKS, Style, styles
from leaderboard.schema.records import record_text
from leaderboard.scoring.board import Board
from leaderboard.scoring.entries import BASELINE, FEWEST_SEEDS, REFERENCE_METHOD
from leaderboard.scoring.overall.ranks import RESAMPLES
from leaderboard.scoring.sections import Section
from leaderboard.scoring.variations import variations
from leaderboard.site import overview
from leaderboard.site.compare import compare_data
from leaderboard.site.downloads import HISTORY, downloads, keep_snapshots, snapshots_in, take_snapshot
from leaderboard.site.links import (
    examples_link,
    record_link,
    section_link,
    sheet_link,
    source_link,
    strategy_link,
)
from leaderboard.site.pieces import File, Piece, key, write_pieces
from leaderboard.site.strategy import strategy_view
from leaderboard.site.tables import number, p_value, ranked_seeds, seconds, seed_line
from leaderboard.site.task import task_view
from lossbench.files import part_of
from lossbench.locks import locked

GENERATOR = '<meta name="generator" content="lossbench">'
"""Marks a folder as a site of Lossbench, which a later build may replace."""
Rendered = Callable[..., bytes]
"""Renders a template: its name, the path of the page, and what the template shows."""
ASSETS = ("style.css", "page.js", "address.js", "download.js", "board.js", "compare.js")


def build_page(board: Board, folder: Path, snapshot: str = "", docs: str = "") -> Path:
    """Build the site into a folder; an earlier site there is replaced as a whole, and its snapshots are kept.

    Another process that builds into the same folder waits.

    Args:
        board: all data.
        folder: the folder.
        snapshot: the date under which a copy of the site is kept in it; empty for none.
        docs: the web address of the documentation, to which every page links; empty for none.

    Returns:
        The path of its index.html.

    Raises:
        FileExistsError: the folder contains files and is not an earlier site.
        RecordError: runs of a section are not comparable.
    """
    folder = folder.resolve()
    _check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = part_of(folder), folder.with_name(f".{folder.name}.old")
    with locked(folder):
        if old.exists() and not folder.exists():
            old.rename(folder)  # a build was killed between its two renames
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            kept = {date for date in (*snapshots_in(folder), snapshot) if date}
            dates = sorted(kept, reverse=True)
            write_pieces(_pieces(board, dates, docs), temporary, folder)
            keep_snapshots(folder, temporary)
            if snapshot:
                history = _environment(board, {}, "").get_template("snapshot.html").render(date=snapshot)
                take_snapshot(temporary, snapshot, history)
            _swap(temporary, folder, old)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder / "index.html"


def _check_replaceable(folder: Path) -> None:
    """Raise a FileExistsError if the folder contains files and is not an earlier site."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / "index.html"
    if not index.is_file() or GENERATOR not in index.read_text(encoding="utf-8", errors="replace"):
        msg = f"{folder}: not empty and not an earlier page of Lossbench; choose a new or an empty folder"
        raise FileExistsError(msg)


def _swap(temporary: Path, folder: Path, old: Path) -> None:
    """Move the new site to its folder, and the earlier one to `old` meanwhile; it is restored if that fails."""
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        temporary.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _pieces(board: Board, dates: Sequence[str], docs: str) -> Iterator[Piece]:
    """All files of the site, in pieces.

    Args:
        board: all data.
        dates: the dates of the snapshots.
        docs: the web address of the documentation; empty for none.
    """
    style_of = styles([*board.names, *(name for source in board.published for name in source.scores)])
    environment = _environment(board, style_of, docs)

    def rendered(template: str, here: str, **views: Any) -> bytes:
        root = "../" * here.count("/")
        return environment.get_template(template).render(root=root, here=here, **views).encode()

    yield Piece("vega", key(vega.VERSION), lambda: [("vega.js", vega.script().encode())])
    texts = {record_link(record): record_text(record) for section in board.sections for record in section.records}
    yield Piece("overview", _overview_key(board, texts, docs), lambda: _overview(board, style_of, rendered, texts))
    yield Piece("history", "", lambda: [(HISTORY, rendered("history.html", HISTORY, dates=dates))])
    digests = {section.key: _section_key(section, texts) for section in board.sections}
    common = (board.names, [section.title for section in board.sections], style_of, board.code, docs)
    for section in board.sections:
        varied = [digests[variation.section.key] for variation in variations(board.sections, section)]
        own = (board.contrasts_of(section.key), board.published, board.history(section), board.descriptions)
        unchanged = key(digests[section.key], varied, *common, *own)
        build = partial(_section_files, board, section, style_of, rendered, texts)
        yield Piece(f"task {section.title}", unchanged, build)
    for strategy in board.names:
        sections = [digests[section.key] for section in board.sections if strategy in section.by_name]
        unchanged = key(sections, *common, board.about(strategy), board.badges.get(strategy))
        build = partial(_strategy_files, board, strategy, style_of, rendered)
        yield Piece(f"strategy {strategy}", unchanged, build)


def _section_key(section: Section, texts: Mapping[str, str]) -> str:
    """Changes with the records of a section, and with which of its entries are ranked, as badges decide."""
    ranked = [(entry.strategy, entry.reference) for entry in section.entries]
    return key(*(texts[record_link(record)] for record in section.records), ranked)


def _overview_key(board: Board, texts: Mapping[str, str], docs: str) -> str:
    """Changes with everything on the pages that show all records together."""
    left_out = (board.damages, board.validation_runs, [*map(record_text, board.incomplete)])
    about = (board.strategies, board.plans, board.published, board.badges, board.descriptions, board.events)
    return key(*texts.values(), *left_out, *about, docs, version("lossbench"), find_spec("pyarrow") is None)


def _overview(board: Board, style_of: dict[str, Style], rendered: Rendered, texts: Mapping[str, str]) -> Iterator[File]:
    """The files that show all records together."""
    for name in ASSETS:
        yield name, rendered(name, name)
    rows, data = overview.rows(board, style_of), overview.table_data(board, style_of)
    trust = downloads(board, texts)
    yield from trust.files
    yield "index.html", rendered("index.html", "index.html", rows=rows, data=data, downloads=trust)
    yield "compare.html", rendered("compare.html", "compare.html", data=compare_data(board, style_of))


def _section_files(
    board: Board, section: Section, style_of: dict[str, Style], rendered: Rendered, texts: Mapping[str, str]
) -> Iterator[File]:
    here, view = section_link(section), task_view(board, section, style_of)
    yield here, rendered("task.html", here, section=section, view=view)
    if view.examples:
        yield examples_link(section), view.examples.image
    for record in section.records:
        yield record_link(record), texts[record_link(record)].encode()


def _strategy_files(board: Board, strategy: str, style_of: dict[str, Style], rendered: Rendered) -> Iterator[File]:
    view = strategy_view(board, strategy, style_of)
    yield from ((sheet_link(part.record), part.sheet.image) for part in view.parts if part.sheet)
    here, source = strategy_link(strategy), board.about(strategy).source
    yield here, rendered("strategy.html", here, strategy=strategy, view=view)
    if source:
        yield source_link(strategy), source.encode()


def _environment(board: Board, style_of: dict[str, Style], docs: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("leaderboard.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "p_value": p_value,
        "seconds": seconds,
        "plural": _plural,
        "commit": overview.short,
    }
    environment.tests["number"] = lambda value: value is not None and not math.isnan(value)
    environment.globals |= {
        "board": board,
        "docs": docs,
        "style_of": style_of,
        "baseline": BASELINE,
        "fewest_seeds": FEWEST_SEEDS,
        "resamples": RESAMPLES,
        "marks": MARKS,
        "reference_method": REFERENCE_METHOD,
        "section_link": section_link,
        "strategy_link": strategy_link,
        "record_link": record_link,
        "sheet_link": sheet_link,
        "source_link": source_link,
        "examples_link": examples_link,
        "seed_line": lambda section: seed_line(ranked_seeds(section)),
        "cost_text": overview.cost_text,
    }
    return environment


def _plural(count: int, singular: str, plural: str = "") -> str:
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"
