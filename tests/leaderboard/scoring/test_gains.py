"""Gains over random by label count, ours and published."""

from __future__ import annotations

from typing import Any

import pytest
from fake_records import make_record

from leaderboard.charts.gains import gain_chart, gains
from leaderboard.charts.styles import styles
from leaderboard.schema.published import Published
from leaderboard.schema.records import Record
from leaderboard.scoring.sections import Section, sections

FIGURES = Published(
    protocol="shapes",
    tasks=("shapes-mini",),
    source="A paper",
    certainty="plot",
    labeled=(1000, 2000),
    scores={"random": (1.0, 2.0), "ours": (1.5, 4.0), "unknown": (9.0, 9.0)},
)


def runs(strategy: str, *scores: tuple[float, ...]) -> list[Record]:
    return [make_record(each, strategy=strategy, seed=seed) for seed, each in enumerate(scores)]


def section(*records: list[Record]) -> Section:
    (found,) = sections([one for several in records for one in several])
    return found


RANDOM = runs("random", (1.0, 2.0), (1.0, 4.0), (1.0, 6.0))
OURS = runs("ours", (1.0, 5.0), (1.0, 6.0), (1.0, 10.0))


def drawn_rows(chart: Any) -> list[list[dict[str, Any]]]:
    return [layer["data"]["values"] for layer in chart["layer"]]


def test_gains_pair_runs_of_one_seed() -> None:
    rows = gains(section(RANDOM, OURS, runs("few", (1.0, 3.0))))
    assert [(row["strategy"], row["labeled"], row["seeds"]) for row in rows] == [
        ("few", 100, 1), ("few", 200, 1), ("ours", 100, 3), ("ours", 200, 3),
    ]  # fmt: skip
    assert [row["mean"] for row in rows] == pytest.approx([0.0, 1.0, 0.0, 3.0])
    assert rows[1]["lower"] is None
    # (3, 2, 4): a standard error of 1 / sqrt(3), Student's t of 4.303 at two degrees of freedom
    assert rows[3]["upper"] == pytest.approx(3 + 4.3027 / 3**0.5, abs=1e-3)


def test_without_random_there_is_nothing_to_draw() -> None:
    for found in (section(OURS), section(RANDOM)):
        assert gains(found) == []
        assert gain_chart(found, styles(found.by_name), [FIGURES]) is None


def test_a_strategy_that_shares_no_seed_with_random_is_left_out() -> None:
    apart = [make_record((1.0, 2.0), strategy="apart", seed=9)]
    assert {row["strategy"] for row in gains(section(RANDOM, OURS, apart))} == {"ours"}


def test_published_gains_are_over_the_sources_own_random() -> None:
    found = section(RANDOM, OURS)
    chart = gain_chart(
        found, styles(found.by_name), [FIGURES, FIGURES.model_copy(update={"scores": {"ours": (1.0, 1.0)}})]
    )
    *_, theirs, points = drawn_rows(chart)
    assert [(row["strategy"], row["labeled"], row["mean"]) for row in theirs] == [
        ("ours", 1000, 0.5),
        ("ours", 2000, 2.0),
    ]
    assert points == theirs
    assert chart is not None
    axes = [layer["encoding"]["x"]["scale"]["type"] for layer in chart["layer"][1:]]
    assert set(axes) == {"log"}, "the paper's label counts lie far from ours"


def test_a_published_point_far_from_the_labels_does_not_stretch_the_chart() -> None:
    found = section(RANDOM, OURS)
    far = FIGURES.model_copy(update={"labeled": (10_000,), "scores": {"random": (1.0,), "ours": (3.0,)}})
    chart = gain_chart(found, styles(found.by_name), [far])
    assert chart is not None
    assert all(row["labeled"] <= found.labels[-1] for rows in drawn_rows(chart) for row in rows if "labeled" in row)
    near = far.model_copy(update={"labeled": (found.labels[-1],)})
    assert [row["mean"] for row in drawn_rows(gain_chart(found, styles(found.by_name), [near]))[-1]] == [2.0]


def test_three_seeds_give_no_band() -> None:
    rising = [(1.0, float(seed)) for seed in range(4)]
    found = section(runs("random", *rising), runs("ours", *rising), runs("few", *rising[:3]))
    zero, bands, *_ = drawn_rows(gain_chart(found, styles(found.by_name)))
    assert zero == [{"zero": 0}]
    assert {row["strategy"] for row in bands} == {"ours"}


@pytest.mark.parametrize("legend_columns", [0, 3])
def test_a_band_has_no_shape(legend_columns: int) -> None:
    """A shape would put points on its edge."""
    found = section(RANDOM, OURS)
    chart = gain_chart(found, styles(found.by_name), legend_columns=legend_columns)
    assert chart is not None
    assert "shape" not in chart["layer"][1]["encoding"]
