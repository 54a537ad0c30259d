"""Gains over random on a protocol and on its variations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from fake_records import make_record

from leaderboard.charts.styles import styles
from leaderboard.charts.variations import stress_chart
from leaderboard.schema.records import Record
from leaderboard.scoring.board import Board
from leaderboard.scoring.sections import sections
from leaderboard.scoring.variations import variations, varied_strategies
from leaderboard.site.links import section_link
from leaderboard.site.page import build_page

CLEAN = {"random": (1.0, 2.0, 3.0), "ours": (2.0, 4.0, 6.0), "theirs": (0.0, 1.0, 2.0)}
NOISY = {"random": (0.0, 1.0, 2.0), "ours": (0.0, 2.0)}


def runs(task: str, areas: dict[str, tuple[float, ...]], **changes: object) -> list[Record]:
    """Runs of constant score, so that the area is the score: one per strategy and seed."""
    return [
        make_record((area, area), protocol=task, strategy=strategy, seed=seed, **changes)
        for strategy, several in areas.items()
        for seed, area in enumerate(several)
    ]


@pytest.fixture
def records() -> list[Record]:
    """Runs on a base, on a variation of it on both tracks, and on a protocol without variations."""
    return [
        *runs("shapes", CLEAN),
        *runs("shapes-noise", NOISY, config={"base": "shapes"}),
        *runs("shapes-noise", NOISY, config={"base": "shapes"}, track="native"),
        *runs("other", CLEAN, config={"base": ["shapes"]}),
    ]


def test_gains_and_changes_are_over_shared_seeds(records: list[Record]) -> None:
    found = sections(records)
    clean, noisy = variations(found, next(each for each in found if each.key.protocol == "shapes"))
    assert (clean.name, noisy.name) == ("clean", "noise")
    assert clean.gains["ours"].mean == pytest.approx(2.0)  # (1, 2, 3)
    assert clean.gains["theirs"].mean == pytest.approx(-1.0)
    assert noisy.gains["ours"].mean == pytest.approx(0.5)  # (0, 1), of the two seeds that both have
    assert noisy.changes["ours"].mean == pytest.approx(-1.0)  # (0 - 1, 1 - 2)
    assert set(noisy.gains) == {"ours"}
    assert clean.changes["theirs"].mean == 0


def test_a_section_without_variations_has_none(records: list[Record]) -> None:
    found = sections(records)
    assert [len(variations(found, each)) for each in found if each.key.protocol in {"other", "shapes-noise"}] == [
        0,
        0,
        0,
    ]


def test_a_variation_has_the_version_of_its_base(records: list[Record]) -> None:
    newer = sections([*records, *runs("shapes", CLEAN, version=2)])
    counts = {each.key.version: len(variations(newer, each)) for each in newer if each.key.protocol == "shapes"}
    assert counts == {1: 2, 2: 0}


def test_a_strategy_without_clean_runs_has_no_change() -> None:
    found = sections([*runs("shapes", {"random": (1.0,)}), *runs("shapes-noise", NOISY, config={"base": "shapes"})])
    _, noisy = variations(found, found[0])
    assert noisy.gains["ours"].mean == pytest.approx(0.5)
    assert math.isnan(noisy.changes["ours"].mean)


def test_areas_of_other_budgets_are_not_compared() -> None:
    longer = [
        make_record((0.0, 1.0, 2.0), protocol="shapes-tiny", strategy=strategy, seed=seed, config={"base": "shapes"})
        for strategy in ("random", "ours")
        for seed in range(3)
    ]
    found = sections([*runs("shapes", CLEAN), *longer])
    _, tiny = variations(found, found[0])
    assert tiny.gains["ours"].mean == 0
    assert math.isnan(tiny.changes["ours"].mean)


def test_the_chart_shows_strategies_with_runs_on_variations(records: list[Record]) -> None:
    found = sections(records)
    several = variations(found, next(each for each in found if each.key.protocol == "shapes"))
    drawn = styles({"random", "ours", "theirs"})
    values = stress_chart(several, drawn)["layer"][1]["data"]["values"]
    assert [(row["variation"], row["strategy"]) for row in values] == [
        ("clean", "ours"),
        ("noise", "ours"),
    ]
    assert varied_strategies(several) == ["ours"]


@pytest.mark.slow
def test_the_page_of_the_base_shows_its_variations(records: list[Record], tmp_path: Path) -> None:
    build_page(Board(records), tmp_path)
    pages = {each.title: (tmp_path / section_link(each)).read_text(encoding="utf-8") for each in sections(records)}
    clean = next(html for title, html in pages.items() if title.startswith("shapes ·"))
    assert "Under stress" in clean
    assert "shapes-noise" in clean
    assert sum("Under stress" in html for html in pages.values()) == 1
