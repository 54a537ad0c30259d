"""What a visitor can take along: tables, all records, a citation, earlier versions of the page."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from leaderboard.scoring import rows
from leaderboard.scoring.board import Board
from leaderboard.scoring.rows import Row
from leaderboard.site.pieces import MANIFEST, File, link

ARCHIVE, SNAPSHOTS, HISTORY = "records.zip", "snapshots", "history.html"
OLDEST = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive, so that equal records give equal archives; a ZIP file knows no earlier one."""


class Table(NamedTuple):
    """A table in several formats."""

    name: str
    title: str
    rows: int
    files: tuple[str, ...]
    """The paths within the site: CSV, JSON and, if pyarrow is installed, Parquet."""


class Downloads(NamedTuple):
    """The files to take along, and what the page says of them."""

    tables: tuple[Table, ...]
    files: tuple[File, ...]
    records: int
    kilobytes: int
    """The size of the archive."""
    data_version: str
    """The first twelve digits of a SHA-256 of all records: it names the data that the numbers are from."""
    citation: str
    """BibTeX."""


def downloads(board: Board, texts: Mapping[str, str]) -> Downloads:
    """All files to take along.

    Args:
        board: all data.
        texts: the shown records as JSON, by their paths within the site.
    """
    titles = {
        "ranks": "overall ranks",
        "standings": "standings",
        "curves": "learning curves",
        "contrasts": "planned comparisons",
    }
    found = [(name, title, rows.table(board, name)) for name, title in titles.items()]
    files = {name: [*_formats(name, table)] for name, _, table in found}
    tables = tuple(
        Table(name, title, len(table), tuple(path for path, _ in files[name])) for name, title, table in found
    )
    archive = _archive(texts)
    digest = hashlib.sha256("\0".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:12]
    every = (*(file for own in files.values() for file in own), (ARCHIVE, archive))
    return Downloads(tables, every, len(texts), len(archive) // 1000 + 1, digest, _citation(board, digest))


def _formats(name: str, table: Sequence[Row]) -> Iterator[File]:
    """A table as CSV, JSON and Parquet; numbers that are not there are empty or null."""
    plain = [
        {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in table
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(plain[0]) if plain else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain)
    yield f"data/{name}.csv", text.getvalue().encode()
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in plain)
    yield f"data/{name}.json", f"[\n{lines}\n]\n".encode()
    if plain and find_spec("pyarrow"):
        yield f"data/{name}.parquet", _parquet(plain)


def _parquet(table: list[Row]) -> bytes:
    from pyarrow import Table as Arrow  # noqa: PLC0415 - an extra
    from pyarrow.parquet import write_table  # noqa: PLC0415 - an extra

    file = io.BytesIO()
    write_table(Arrow.from_pylist(table), file)
    return file.getvalue()


def _archive(texts: Mapping[str, str]) -> bytes:
    """All records in one ZIP file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for name in sorted(texts):
            archive.writestr(zipfile.ZipInfo(name, OLDEST), texts[name], zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _citation(board: Board, digest: str) -> str:
    year = board.events[0].date.year if board.events else ""
    lines = {
        "title": "Lossbench: a benchmark of active learning on classification, detection, pose and segmentation",
        "year": year,
        "note": f"Version {version('lossbench')}, records {digest}",
    }
    fields = "".join(f"  {name} = {{{value}}},\n" for name, value in lines.items() if value)
    return f"@misc{{lossbench,\n{fields}}}"


def snapshots_in(site: Path) -> list[str]:
    """The dates of the snapshots of a site, the latest first."""
    return sorted((path.parent.name for path in site.glob(f"{SNAPSHOTS}/*/index.html")), reverse=True)


def keep_snapshots(earlier: Path, site: Path) -> None:
    """Take the snapshots of an earlier site along."""
    for date in snapshots_in(earlier):
        _copy(earlier / SNAPSHOTS / date, site / SNAPSHOTS / date)


def take_snapshot(site: Path, date: str, history: str) -> None:
    """Keep a site, as it is, under a date; one of the same date is replaced.

    Args:
        site: the site.
        date: the date, as year-month-day.
        history: the page that the snapshot has in place of the list of snapshots.
    """
    target = site / SNAPSHOTS / date
    shutil.rmtree(target, ignore_errors=True)
    _copy(site, target)
    (target / HISTORY).unlink(missing_ok=True)
    (target / HISTORY).write_text(history, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    """Copy a site without its snapshots."""
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and inside.parts[0] != SNAPSHOTS and path.name != MANIFEST:
            link(path, target / inside)
