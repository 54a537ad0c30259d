"""The page: a pure function of a board, in one static folder that opens from disk and asks nothing of a network."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from leaderboard import charts, picks
from leaderboard.board import Board
from leaderboard.charts import HEIGHT_PIXELS, Style, page_spec, styles
from leaderboard.entries import BASELINE, FULL_POOL, PAPER, Point
from leaderboard.records import Record
from leaderboard.sections import Section
from leaderboard.tables import number, seconds, seed_line

GENERATOR = '<meta name="generator" content="lossbench">'
"""Marks a folder as a page of ours, which the next build may replace."""
ASSETS = ("style.css", "page.js")
SPARK_WIDTH, SPARK_HEIGHT = 72, 20


def build_page(board: Board, folder: Path) -> Path:
    """Build the page into `folder`, all of it or nothing, and give its index.html.

    Raises:
        FileExistsError: the folder holds something else than an earlier page.
        RecordError: runs that cannot stand side by side.
    """
    folder = folder.resolve()
    _check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        for name, content in _files(board):
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _swap(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder / "index.html"


def section_link(section: Section) -> str:
    """Where a section's page lies within the folder."""
    return f"tasks/{section.key.task}-p{section.key.protocol}-{section.key.track}.html"


def strategy_link(strategy: str) -> str:
    """Where a strategy's page lies within the folder."""
    return f"strategies/{strategy}.html"


def record_link(record: Record) -> str:
    """Where a record lies within the folder."""
    return f"records/{record.task}-p{record.protocol}/{record.strategy}-{record.track}-s{record.seed}.json"


def sheet_link(record: Record) -> str:
    """Where the picture of a run's picks lies within the folder."""
    return f"sheets/{record.task}-p{record.protocol}-{record.strategy}-{record.track}-s{record.seed}.png"


def _check_replaceable(folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / "index.html"
    if not index.is_file() or GENERATOR not in index.read_text(encoding="utf-8", errors="replace"):
        msg = f"{folder}: holds something else than an earlier page; name a new or an empty folder"
        raise FileExistsError(msg)


def _swap(beside: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    try:
        beside.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _files(board: Board) -> Iterator[tuple[str, bytes]]:
    """Every file of the page: its place in the folder, and what it holds."""
    drawn = styles(board.names)
    environment = _environment(board, drawn)
    for name in ASSETS:
        yield name, environment.get_template(name).render().encode()
    yield "vega.js", charts.script().encode()

    def rendered(template: str, **views: Any) -> bytes:
        return environment.get_template(template).render(**views).encode()

    yield "index.html", rendered("index.html", root="", here="index.html", rows=_rank_rows(board))
    for section in board.sections:
        here = section_link(section)
        yield here, rendered("task.html", root="../", here=here, section=section, **_task_charts(board, section, drawn))
        for record in section.records:
            yield record_link(record), record.model_dump_json(indent=1).encode() + b"\n"
    for strategy in board.names:
        parts, sheets = _parts(board, strategy, drawn)
        yield from sheets
        here = strategy_link(strategy)
        yield here, rendered("strategy.html", root="../", here=here, strategy=strategy, parts=parts)


def _environment(board: Board, drawn: dict[str, Style]) -> Environment:
    environment = Environment(
        loader=PackageLoader("leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "seconds": seconds, "plural": _plural}
    environment.tests["number"] = lambda value: value is not None and not math.isnan(value)
    environment.globals |= {
        "board": board,
        "drawn": drawn,
        "baseline": BASELINE,
        "paper": PAPER,
        "full_pool": FULL_POOL,
        "section_link": section_link,
        "strategy_link": strategy_link,
        "record_link": record_link,
        "seed_line": lambda section: seed_line([each.seeds for each in section.standings]),
        "sparkline": sparkline,
    }
    return environment


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _rank_rows(board: Board) -> list[dict[str, Any]]:
    return [
        {"section": section, "standing": standing, "about": board.about(standing.strategy)}
        for section in board.sections
        for standing in section.standings
    ]


def sparkline(section: Section, strategy: str) -> str:
    """The mean curve as points of an SVG polyline, in a box that is the same for all strategies of a section."""
    means = [point.score.mean for entry in section.entries for point in entry.points]
    low, high = min(means), max(means)

    def place(point: Point) -> str:
        across = (point.labeled - section.labels[0]) / max(section.labels[-1] - section.labels[0], 1)
        up = (point.score.mean - low) / (high - low) if high > low else 0.5
        return f"{2 + across * (SPARK_WIDTH - 4):.1f},{SPARK_HEIGHT - 2 - up * (SPARK_HEIGHT - 4):.1f}"

    return " ".join(map(place, section.by_name[strategy].points))


def _task_charts(board: Board, section: Section, drawn: dict[str, Style]) -> dict[str, Any]:
    """The charts of a section's page as Vega-Lite; None for one that has nothing to show."""
    own = {name: drawn[name] for name in section.by_name}
    same, others = (board.published_for(section, same_protocol=same) for same in (True, False))
    wide = {"width": "container", "height": HEIGHT_PIXELS}
    title, metric = section.title, section.metric_title
    curves = charts.curve_chart(section, own, same)
    spent = charts.seconds_chart(section, own)
    several = any(standing.seeds > 1 for standing in section.standings) and section.penalties.rounds
    gains = any(not math.isnan(each.to_baseline.mean) for each in section.standings)
    return {
        "curves": page_spec(curves, f"Learning curves of {title}: {metric} by labeled images.", **wide),
        "spent": page_spec(spent, f"{metric} of {title} by seconds of training and selection.", **wide),
        "penalties": page_spec(charts.penalty_chart(section), f"How often strategies beat each other on {title}.")
        if several and len(section.penalties.strategies) > 1
        else None,
        "pareto": page_spec(charts.pareto_chart(section, own), f"Gain over random by seconds on {title}.", **wide)
        if gains
        else None,
        "published": page_spec(
            charts.published_chart(others, styles({*drawn, *(name for each in others for name in each.scores)})),
            f"Published curves related to {section.key.task}.",
            **wide,
        )
        if others
        else None,
        "sources": [each.title for each in (*same, *others)],
        "shown": charts.shown_first(section),
    }


def _parts(
    board: Board, strategy: str, drawn: dict[str, Style]
) -> tuple[list[dict[str, Any]], list[tuple[str, bytes]]]:
    """What a strategy's page shows of each section that it has runs in, and the pictures among it."""
    parts, sheets = [], []
    for section in board.sections:
        if strategy not in section.by_name:
            continue
        few = section.only((strategy, BASELINE, PAPER))
        shares = picks.group_shares(section, strategy)
        record = section.by_name[strategy].records[0]
        sheet = board.sheet(record)
        if sheet:
            sheets.append((sheet_link(record), sheet.image))
        described = f"{strategy} on {section.title}: {section.metric_title} by labeled images."
        parts.append(
            {
                "section": section,
                "standing": next(each for each in section.standings if each.strategy == strategy),
                "record": record,
                "legend": list(few.by_name),
                "curves": page_spec(
                    charts.curve_chart(few, {name: drawn[name] for name in few.by_name}),
                    described,
                    width="container",
                    height=220,
                ),
                "groups": page_spec(
                    charts.group_chart(shares),
                    f"Groups of what {strategy} picked on {section.title}.",
                    width="container",
                )
                if shares
                else None,
                "shares": shares,
                "overlaps": picks.overlaps(section, strategy),
                "seed_overlap": picks.seed_overlap(section.by_name[strategy]),
                "sheet": (sheet_link(record), sheet.alt) if sheet else None,
            }
        )
    return parts, sheets
