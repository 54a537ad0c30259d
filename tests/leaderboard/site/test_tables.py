"""The tables of the terminal."""

from __future__ import annotations

import io
import re

import pytest
from fake_records import make_record
from rich.console import Console

from leaderboard.schema.records import Record
from leaderboard.site.tables import number, p_value, seconds, seed_line, task_tables


def printed(records: list[Record]) -> str:
    console = Console(width=160, file=io.StringIO())
    for table in task_tables(records):
        console.print(table)
    return console.file.getvalue()


def test_the_terminal_shows_a_table_per_section() -> None:
    records = [make_record((10.0, 20.0 + seed), seed=seed) for seed in (0, 2)]
    records += [make_record((0.5,), protocol="other", strategy="ours"), make_record((1.0,), planned_rounds=2, seed=9)]
    text = printed(records)
    assert len(task_tables(records)) == 2
    assert "shapes-mini · version 1 · shared track · accuracy (%) by labels" in text
    assert re.search(r"random +10\.00 +21\.00 +15\.50 +0\.600 +1\.00", text)
    assert "2 seeds are too few for a sound ranking. 1 incomplete run left out." in " ".join(text.split())
    assert re.search(r"ours +0\.500 +0\.500 +0\.600 +\N{EN DASH}", text)


def test_of_many_rounds_a_table_leaves_some_out() -> None:
    text = printed([make_record(tuple(number / 100 for number in range(20)))])
    heading = next(line for line in text.splitlines() if "strategy" in line)
    counts = [int(count.replace(",", "")) for count in re.findall(r"\b\d[\d,]*", heading)]
    assert len(counts) == 6
    assert (counts[0], counts[-1]) == (100, 2000)


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ([1], "1 seed is too few for a sound ranking."),
        ([3, 3], "3 seeds are too few for a sound ranking."),
        ([2, 8], "2 to 8 seeds per strategy; fewer than 5 are too few for a sound ranking."),
        ([2, 4], "2 to 4 seeds are too few for a sound ranking."),
        ([5, 5], "5 seeds."),
    ],
)
def test_few_seeds_are_called_few(counts: list[int], line: str) -> None:
    assert seed_line(counts) == line


def test_no_p_value_is_zero() -> None:
    assert [p_value(value) for value in (2 / 2**20, 0.0001, 0.5, float("nan"))] == [
        "< 0.0001",
        "0.0001",
        "0.5000",
        "\N{EN DASH}",
    ]


def test_numbers_are_formatted_with_a_minus_sign_and_a_dash_for_nan() -> None:
    assert [number(value, 2) for value in (1.234, -0.5, -0.001, float("nan"))] == [
        "1.23",
        "\N{MINUS SIGN}0.50",
        "0.00",
        "\N{EN DASH}",
    ]
    assert number(0.5, 1, sign=True) == "+0.5"
    assert [seconds(value) for value in (0.01234, 1.234, 12.34, 1234.5)] == ["0.012", "1.23", "12.3", "1,234"]
