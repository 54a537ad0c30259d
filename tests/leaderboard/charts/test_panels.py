"""Small charts: their scales, and what they draw."""

from __future__ import annotations

import re

import pytest
from fake_records import make_record

from leaderboard.charts.panels import HEIGHT, WIDTH, decimals, gain_panel, ticks
from leaderboard.charts.styles import styles
from leaderboard.scoring.sections import Section, sections


def section_of(gains: dict[str, tuple[float, ...]], seeds: int = 4, **changes: object) -> Section:
    """Random scores 50; the others that and their gains."""
    records = [
        make_record([50.0 + gain for gain in own], strategy=name, seed=seed, reference=name == "boss", **changes)
        for seed in range(seeds)
        for name, own in ({"random": (0.0,) * 3} | gains).items()
    ]
    (section,) = sections(records)
    return section


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2.5, 5, 7.5, 10]), (-0.03, 0.05, [-0.02, 0, 0.02, 0.04]), (1, 1, [1]), (-7, -1, [-6, -4, -2])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_ticks_show_the_decimals_that_they_need() -> None:
    assert [decimals(values) for values in ([0, 2.5, 5], [0, 0.02], [0, 10], [3.0])] == [1, 2, 0, 0]


def test_a_panel_draws_the_gains_and_says_them() -> None:
    section = section_of({"ours": (0.0, 1.0, 2.0), "theirs": (0.0, -1.0, -0.5)})
    panel = gain_panel(section, ("ours", "theirs", "missing"), styles(section.by_name))
    assert panel is not None
    assert [(line.strategy, line.last) for line in panel.lines] == [("ours", 2.0), ("theirs", -0.5)]
    assert panel.svg.count("<polyline") == panel.svg.count("<polygon") == 2
    assert "ours, 300 labels: +2 (+2 to +2), 4 seeds" in panel.svg
    assert panel.text.endswith("At the end: ours +2.00, theirs -0.50.")
    points = [float(number) for line in re.findall(r'points="([^"]*)"', panel.svg) for number in re.split("[ ,]", line)]
    assert all(0 <= point <= max(WIDTH, HEIGHT) for point in points)


def test_few_seeds_draw_no_band_and_no_pair_no_panel() -> None:
    section = section_of({"ours": (0.0, 1.0, 2.0)}, seeds=3)
    panel = gain_panel(section, ("ours",), styles(section.by_name))
    assert panel is not None
    assert "<polygon" not in panel.svg
    assert gain_panel(section, ("random", "missing"), styles(section.by_name)) is None


def test_a_reference_does_not_stretch_the_scale() -> None:
    section = section_of({"ours": (0.0, 1.0, 2.0), "boss": (0.0, 1.5, 90.0)})
    panel = gain_panel(section, ("ours", "boss"), styles(section.by_name))
    alone = gain_panel(section, ("ours",), styles(section.by_name))
    assert panel is not None
    assert alone is not None
    tick = re.compile(r'class="y"[^>]*>([^<]*)<')
    assert tick.findall(panel.svg) == tick.findall(alone.svg)
    assert 'stroke-dasharray="2 3"' in panel.svg
    assert [line.strategy for line in panel.lines] == ["boss", "ours"]
