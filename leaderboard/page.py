"""The page: a pure function of the records, in one static folder that opens from disk and asks nothing of a network."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from leaderboard.charts import Style, curve_spec, script, styles
from leaderboard.records import Record, write_record
from leaderboard.scores import BASELINE, Interval, Section, incomplete, sections
from leaderboard.tables import number, seconds, seed_line

GENERATOR = '<meta name="generator" content="lossbench">'
"""Marks a folder as a page of ours, which the next build may replace."""
LONGEST_PART = 60
"""Characters of a name that go into a file name."""


class Cell(NamedTuple):
    """A mean and, below it, its interval; both as text."""

    mean: str
    interval: str


def build_page(records: Sequence[Record], folder: Path) -> Path:
    """Build the page of the test records into `folder`, all of it or nothing, and give its index.html.

    Records of the validation split serve choices: they are not shown.

    Raises:
        FileExistsError: the folder holds something else than an earlier page.
        RecordError: runs that cannot stand side by side.
    """
    folder = folder.resolve()
    _check_replaceable(folder)
    html = _render(records)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        (beside / "index.html").write_text(html, encoding="utf-8")
        (beside / "vega.js").write_text(script(), encoding="utf-8")
        for section in _shown(records):
            for record in section.records:
                write_record(record, beside / record_link(record))
        _swap(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder / "index.html"


def record_link(record: Record) -> str:
    """Where a record lies within the page's folder; whatever the names hold, it stays inside."""
    task = f"{_file_part(record.task)}-p{record.protocol}"
    return f"records/{task}/{_file_part(record.strategy)}-{record.track}-s{record.seed}.json"


def _file_part(name: str) -> str:
    """A name as part of a file name; a digest keeps two names apart that would look alike."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:LONGEST_PART].lstrip(".-")
    return plain if plain and plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


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


def _shown(records: Sequence[Record]) -> list[Section]:
    return sections(record for record in records if record.split == "test")


def _render(records: Sequence[Record]) -> str:
    shown = _shown(records)
    drawn = styles(record.strategy for section in shown for record in section.records)
    environment = Environment(
        loader=PackageLoader("leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    left_out = incomplete(record for record in records if record.split == "test")
    return environment.get_template("page.html").render(
        sections=[_section_view(section, drawn, f"section-{place}") for place, section in enumerate(shown, 1)],
        runs=sum(len(section.records) for section in shown),
        tasks=len({section.task for section in shown}),
        strategies=len(drawn),
        incomplete=[
            f"{one.task}, {one.strategy}, seed {one.seed} ({len(one.rounds)} of {one.planned_rounds} rounds)"
            for one in left_out
        ],
        validation=sum(record.split != "test" for record in records),
        baseline=BASELINE,
    )


def _section_view(section: Section, drawn: dict[str, Style], anchor: str) -> dict[str, Any]:
    """What the template shows of a section: text and a chart, no computing left."""
    rows = section.standings.to_dict("records")
    return {
        "anchor": anchor,
        "title": section.title,
        "metric": section.metric_title,
        "unit": section.metric.unit or section.metric.name,
        "direction": "larger" if section.metric.larger_is_better else "smaller",
        "labels": section.labels,
        "spec": curve_spec(section, drawn),
        "rows": [_row_view(section, row, drawn) for row in rows],
        "seed_line": seed_line([row["seeds"] for row in rows]),
        "machines": sorted({_machine(record) for record in section.records}),
        "links": [
            (strategy, [(record.seed, record_link(record)) for record in runs])
            for strategy, runs in groupby(section.records, key=lambda record: record.strategy)
        ],
    }


def _row_view(section: Section, row: dict[str, Any], drawn: dict[str, Style]) -> dict[str, Any]:
    decimals = section.decimals
    curve = [point for point in section.summary.to_dict("records") if point["strategy"] == row["strategy"]]
    return {
        "strategy": row["strategy"],
        "style": drawn[row["strategy"]],
        "area": _cell(row, "area", decimals),
        "last": _cell(row, "last", decimals),
        "difference": _cell(row, "difference", decimals, sign=True),
        "ranking": _cell(row | {"ranking": row["ranking_accuracy"]}, "ranking", 3),
        "select": seconds(row["select_seconds"]),
        "fit": seconds(row["fit_seconds"]),
        "seeds": row["seeds"],
        "scores": [_point(point, decimals) for point in curve],
    }


def _point(point: dict[str, Any], decimals: int) -> Cell:
    return _interval_cell(Interval(point["score"], point["lower"], point["upper"]), decimals)


def _cell(row: dict[str, Any], name: str, decimals: int, *, sign: bool = False) -> Cell:
    return _interval_cell(Interval(row[name], row[f"{name}_lower"], row[f"{name}_upper"]), decimals, sign=sign)


def _interval_cell(values: Interval, decimals: int, *, sign: bool = False) -> Cell:
    mean, lower, upper = (number(value, decimals, sign=sign) for value in values)
    return Cell(mean, "" if math.isnan(values.lower) else f"{lower} … {upper}")


def _machine(record: Record) -> str:
    machine = record.machine
    threads = f"{machine.threads} thread{'s' if machine.threads > 1 else ''}"
    return f"{machine.processor}, {machine.device}, {threads}"
