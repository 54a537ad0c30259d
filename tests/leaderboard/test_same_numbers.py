"""The committed records give the numbers that they gave when the reference was written.

The reference lists the runs that it covers; runs that are added later do not count. After an intended change of a number,
describe it in the changelog and write the reference again: `uv run python tests/leaderboard/test_same_numbers.py`.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from leaderboard.schema.records import Record, read_record, record_path
from leaderboard.scoring.board import Board
from leaderboard.scoring.rows import TABLES, Row, table
from lossbench.config_files import read_sweep
from lossbench.publishing.boards import comparisons_of

FOLDER = Path(__file__).parents[2] / "leaderboard/records"
REFERENCE = Path(__file__).with_name("same_numbers.json")
PLAN = "reproduction"
COVERED = [name for name in TABLES if name != "ranks"]
"""Ranks have no sections; tests/leaderboard/scoring/overall/test_ranks.py has their hand values."""

Sums = dict[str, dict[str, list[float]]]
"""By section and column: how many numbers, their sum, and their sum weighted by their place from 1 on."""


def board(records: list[Record]) -> Board:
    return Board(records, plans=comparisons_of(PLAN, *read_sweep(PLAN)))


def sums(rows: list[Row]) -> Sums:
    """A table in few numbers. A value that is not there counts as no number and keeps its place."""
    columns: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        section = f"{row['protocol']} {row['version']} {row['track']}"
        for name in row.keys() - {"protocol", "version", "track", "split"}:
            columns[section][name].append(row[name])
    return {
        section: {name: _sums(column) for name, column in sorted(table.items()) if not isinstance(column[0], str)}
        for section, table in sorted(columns.items())
    }


def _sums(column: list[float | None]) -> list[float]:
    known = [(place, value) for place, value in enumerate(column, 1) if value is not None and not math.isnan(value)]
    totals = (math.fsum(value for _, value in known), math.fsum(place * value for place, value in known))
    return [len(known), *(float(f"{total:.12g}") for total in totals)]


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    return json.loads(REFERENCE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def now(reference: dict[str, Any]) -> dict[str, Sums]:
    paths = [
        record_path(FOLDER / room, protocol, track, strategy, seed)
        for room, protocol, track, strategy, seeds in reference["runs"]
        for seed in seeds
    ]
    shown = board([read_record(path) for path in paths])
    return {name: sums(table(shown, name)) for name in COVERED}


@pytest.mark.parametrize("name", COVERED)
def test_numbers_are_the_same_as_before(name: str, reference: dict[str, Any], now: dict[str, Sums]) -> None:
    before, after = reference["tables"][name], now[name]
    assert before
    assert {section: sorted(columns) for section, columns in after.items()} == {
        section: sorted(columns) for section, columns in before.items()
    }
    for section, columns in before.items():
        for column, numbers in columns.items():
            assert after[section][column] == pytest.approx(numbers, rel=1e-7, abs=1e-7), f"{section}: {column}"


def write_reference() -> None:
    """Of all committed test records."""
    runs: dict[tuple[str, ...], list[int]] = defaultdict(list)
    records = []
    for path in sorted(FOLDER.rglob("*.json")):
        record = read_record(path)
        if record.split == "test":
            records.append(record)
            room = path.relative_to(FOLDER).parts[0]
            runs[room, record.protocol, record.track, record.strategy].append(record.seed)
    found = {name: sums(table(board(records), name)) for name in COVERED}
    listed = ",\n".join(json.dumps([*names, sorted(seeds)]) for names, seeds in sorted(runs.items()))
    shown = ",\n".join(
        f"{json.dumps(table)}: {{\n"
        + ",\n".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in each.items())
        + "\n}"
        for table, each in found.items()
    )
    REFERENCE.write_text(f'{{"runs": [\n{listed}\n],\n"tables": {{\n{shown}\n}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    write_reference()
