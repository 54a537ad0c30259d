"""Charts: they draw the numbers of their section, and many strategies stay distinguishable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import pytest
from fake_records import make_record, realistic_records

from leaderboard.charts.curves import curve_chart
from leaderboard.charts.marks import initial_strategies
from leaderboard.charts.pareto import LEAST_SECONDS, _front, pareto_chart
from leaderboard.charts.pictures import curves_png
from leaderboard.charts.styles import styles
from leaderboard.charts.vega import page_spec
from leaderboard.schema.records import Phases, RecordError
from leaderboard.scoring.board import Board
from leaderboard.scoring.sections import sections
from leaderboard.site import task
from leaderboard.site.page import build_page


def values(spec: dict[str, Any], mark: str) -> list[dict[str, Any]]:
    layer = next(each for each in spec["layer"] if each["mark"]["type"] == mark)
    return layer.get("data", spec.get("data"))["values"]


def test_the_chart_draws_the_means_and_their_intervals() -> None:
    records = [make_record((10.0 + seed, 20.0 + 2 * seed), seed=seed) for seed in range(4)]
    (section,) = sections(records)
    spec = curve_chart(section, styles(["random"]))
    drawn = [(row["labeled"], row["mean"], row["seeds"]) for row in values(spec, "line")]
    assert drawn == [(100, 11.5, 4), (200, 23, 4)]
    assert len(values(spec, "area")) == 2
    line = next(each for each in spec["layer"] if each["mark"]["type"] == "line")
    assert line["encoding"]["y"]["title"] == "accuracy (%)"
    assert line["encoding"]["y"]["scale"]["zero"] is False


@pytest.mark.parametrize("seeds", [1, 3])
def test_too_few_seeds_draw_no_band(seeds: int) -> None:
    (section,) = sections([make_record((1.0 + seed,), seed=seed) for seed in range(seeds)])
    spec = curve_chart(section, styles(["random"]))
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["line", "point"]
    assert (values(spec, "line")[0]["lower"] is None) == (seeds == 1)


def test_the_front_holds_what_none_beats_in_gain_and_seconds() -> None:
    rows = [{"seconds": second, "mean": gain} for second, gain in ((1, 2.0), (2, 1.0), (3, 5.0), (3, 4.0), (9, 5.0))]
    assert [(row["seconds"], row["mean"]) for row in _front(rows, 1.0)] == [(1, 2.0), (3, 5.0)]
    assert [(row["seconds"], row["mean"]) for row in _front(rows, -1.0)] == [(1, 2.0), (2, 1.0)]


def test_the_front_is_named_and_random_stands_near_the_cheapest() -> None:
    random, *others = (
        make_record((10.0, last), strategy=name) for name, last in (("random", 20.0), ("ours", 30.0), ("theirs", 15.0))
    )
    free = Phases(fit=10.0, evaluate=1.0, forward=0.0, score=0.0, pick=1e-5)
    random = random.model_copy(
        update={"rounds": tuple(each.model_copy(update={"seconds": free}) for each in random.rounds)}
    )
    (section,) = sections([random, *others])
    spec = pareto_chart(section, styles(section.by_name))
    points = [layer["data"]["values"] for layer in spec["layer"] if layer["mark"]["type"] == "point"]
    assert [{row["strategy"] for row in rows} for rows in points] == [{"random", "ours"}, {"random", "ours", "theirs"}]
    assert [row["strategy"] for row in values(spec, "text")] == ["ours"]
    assert min(row["seconds"] for row in points[1]) == LEAST_SECONDS


def test_a_crowded_chart_begins_with_the_best_random_and_learning_loss() -> None:
    names = [f"s{place}" for place in range(9)]
    records = [make_record((float(place),), strategy=name) for place, name in enumerate(names)]
    records += [make_record((-1.0,)), make_record((-2.0,), strategy="learning-loss")]
    (section,) = sections(records)
    assert initial_strategies(section) == ["s8", "s7", "s6", "s5", "s4", "s3", "random", "learning-loss"]
    (parameter,) = curve_chart(section, styles(section.by_name))["params"]
    assert parameter == {"name": "hidden", "value": ["s0", "s1", "s2"]}


def test_a_crowded_chart_prefers_strategies_of_more_seeds() -> None:
    records = [make_record((float(place),), strategy=f"s{place}") for place in range(10)]
    (section,) = sections([*records, make_record((0.0,), strategy="s0", seed=1)])
    assert initial_strategies(section) == ["s9", "s8", "s7", "s6", "s5", "s4", "s3", "s0"]


def test_each_strategy_keeps_its_color_and_none_shares_a_style() -> None:
    few, many = styles(["random", "badge"]), styles([f"new-{place}" for place in range(60)] + ["random", "badge"])
    assert few["random"] == many["random"]
    assert few["badge"] == many["badge"]
    assert len(set(many.values())) == 62
    assert styles(["a", "learning-loss"])["learning-loss"] == styles(["learning-loss", "z"])["learning-loss"]


def test_the_first_45_strategies_differ_in_color_or_shape() -> None:
    several = styles([*(f"new-{place}" for place in range(42)), "entropy", "core-set", "badge"])
    assert len({(style.color, style.shape) for style in several.values()}) == 45


@pytest.mark.parametrize("name", ["random", "learning-loss"])
def test_what_many_charts_show_has_a_color_of_its_own(name: str) -> None:
    several = styles([*(f"new-{place}" for place in range(60)), "random", "learning-loss", "badge"])
    assert [other for other, style in several.items() if style.color == several[name].color] == [name]


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    path = curves_png(realistic_records(2), tmp_path / "new" / "curves.png")
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert list(path.parent.iterdir()) == [path]


def test_a_picture_of_many_strategies_on_several_tasks(tmp_path: Path) -> None:
    several = [("shapes", range(12)), ("other", range(5, 9))]
    records = [make_record((1.0, 2.0), protocol=task, strategy=f"s{each}") for task, names in several for each in names]
    assert curves_png(records, tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_without_a_complete_record_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no complete record to draw"):
        curves_png([make_record(planned_rounds=9)], tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_every_chart_of_the_page_is_valid_vega_lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page itself does not check them, which takes longer than all else."""
    seen: list[dict[str, Any]] = []

    def noted(chart: dict[str, Any], description: str, **size: Any) -> dict[str, Any]:
        seen.append(page_spec(chart, description, **size))
        return seen[-1]

    monkeypatch.setattr(task, "page_spec", noted)
    records = [
        make_record((70.0 + seed, 80.0 + gain, 85.0 + gain), strategy=name, seed=seed)
        for seed in range(4)
        for name, gain in (("random", 0.0), ("margin", 1.0), ("entropy", -1.0))
    ]
    build_page(Board(records), tmp_path / "page")
    assert len(seen) == 3
    for spec in seen:
        alt.Chart.from_dict(spec, validate=True)
