"""The profile: what selections cost, measured on pools that are larger than the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Result, the_line
from sample_configs import written
from tiny_tasks import FAST_ON_ONE_KIND
from trained_margins import SPREAD, bank_spread

from lossbench.config import Stress
from lossbench.measuring.replay import BANK_IMAGES, OutputBank
from lossbench.measuring.selection import SelectionCost, SelectionSizes, fit_growth, measure_selection
from lossbench.measuring.selection_report import cost_tables, write_costs
from lossbench.paths import Paths
from lossbench.running.loop import Run
from lossbench.submissions.conformance import tiny_protocol
from strategies import load_strategy
from tasks.base import Task
from tasks.kinds import build_task
from tasks.training.learner import Learner


@pytest.fixture
def bank(kind: str, trained: Callable[..., Learner]) -> OutputBank:
    return OutputBank.of(trained(kind))


def test_a_repeated_reader_starts_again_after_its_last_image(task: Task) -> None:
    count = task.pool_size + task.test_size
    ids = np.array([0, 5, count - 1])
    assert torch.equal(task.unlabeled.repeated().images(ids + 3 * count), task.unlabeled.images(ids))
    with pytest.raises(IndexError):
        task.unlabeled.images(ids + count)


def test_a_bank_makes_outputs_that_fit_together(bank: OutputBank) -> None:
    ids = np.arange(1000, 1040)
    outputs = bank.outputs(ids)
    real = next(bank.learner.batches(ids))[1]
    for made, true in zip((*outputs.taps, *outputs.features), (*real.taps, *real.features), strict=True):
        assert made.shape == true.shape
    posteriors = bank.learner.task.posteriors(outputs.raw)
    torch.testing.assert_close(posteriors.log_probs, bank.learner.decode(outputs.features).log_probs)
    again = bank.outputs(ids)
    assert all(torch.equal(one, other) for one, other in zip(outputs.features, again.features, strict=True))


def test_no_two_images_of_a_bank_are_equal(bank: OutputBank, kind: str) -> None:
    twice = bank.outputs(np.array([0, BANK_IMAGES, 2 * BANK_IMAGES]))
    embeddings = bank.learner.task.embed(twice)
    assert (torch.pdist(embeddings) > 0).all()
    SPREAD[kind].check_value(bank_spread(bank.learner))  # and yet they stay near the image they are made from


def test_a_replay_counts_what_is_forwarded_and_leaves_its_time_out(bank: OutputBank) -> None:
    replay = bank.replay()
    replay.clock.seconds.clear()
    assert len(replay.embeddings(np.arange(5000, 5300))) == 300
    replay.embeddings(np.arange(7))
    assert sum(replay.forwarded) == 307
    assert set(replay.clock.seconds) == {"replay"}


def cost(pool: int, budget: int, seconds: float, strategy: str = "one") -> SelectionCost:
    return SelectionCost(strategy, pool, budget, 1.0, seconds / 2, seconds / 2, pool, None, 5)


def test_growth_is_the_exponent_of_a_power_law() -> None:
    sizes = [(pool, budget) for pool in (1000, 4000, 9000) for budget in (10, 100)]
    costs = [cost(pool, budget, 1e-6 * pool**1.5 * budget**0.25) for pool, budget in sizes]
    (growth,) = fit_growth(costs)
    assert growth.pool_exponent == pytest.approx(1.5)
    assert growth.budget_exponent == pytest.approx(0.25)


def test_growth_over_one_size_alone_is_not_claimed() -> None:
    one, other = fit_growth([cost(10, 5, 1.0), cost(1000, 5, 10.0), cost(10, 5, 3.0, "other")])
    assert one.pool_exponent == pytest.approx(0.5)
    assert (one.budget_exponent, other.pool_exponent, other.budget_exponent) == (None, None, None)


@FAST_ON_ONE_KIND
def test_a_profile_measures_pools_larger_than_the_data(kind: str, tmp_path: Path) -> None:
    chosen = [load_strategy(name) for name in ("random", "entropy", "core-set")]
    protocol, paths = tiny_protocol(kind), Paths(tmp_path, tmp_path)
    costs = list(measure_selection(protocol, chosen, SelectionSizes((20, 200), (5, 30), repeats=2), paths))
    cells = [(20, 5), (200, 5), (200, 30)]  # 30 of 20 cannot be picked
    assert [(each.strategy, each.pool, each.budget) for each in costs] == [
        (strategy.name, *cell) for strategy in chosen for cell in cells
    ]
    labeled = protocol.budget.initial
    assert [each.forwarded_images for each in costs] == [
        0,
        0,
        0,
        20,
        200,
        200,
        20 + labeled,
        200 + labeled,
        200 + labeled,
    ]
    assert all(each.repeats == 2 and each.pick > 0 for each in costs)
    per_image = costs[3].forward / 20
    assert per_image > 0
    assert costs[4].forward == pytest.approx(200 * per_image)


def test_a_profile_leaves_the_fits_that_a_run_would_make(tmp_path: Path) -> None:
    protocol = tiny_protocol("classification").model_copy(update={"stress": Stress(label_noise=0.6)})
    sizes, random = SelectionSizes((20,), (5,), repeats=1), load_strategy("random")
    list(measure_selection(protocol, [random], sizes, Paths(tmp_path, tmp_path)))
    task = build_task(protocol.task, tmp_path, tmp_path / "cache", torch.device("cpu"))
    alone, after = (
        next(Run(task, protocol, random, 0, "shared", "test", folder).rounds())
        for folder in (tmp_path / "other", tmp_path / "models")
    )
    assert alone.metrics == after.metrics
    assert len([*(tmp_path / "models").glob("*.safetensors")]) == 1, "the run trained nothing anew"


def test_a_slow_cell_is_not_repeated(tmp_path: Path) -> None:
    sizes = SelectionSizes((50,), (5,), repeats=4, max_seconds=0.0)
    (cost,) = measure_selection(
        tiny_protocol("classification"), [load_strategy("entropy")], sizes, Paths(tmp_path, tmp_path)
    )
    assert cost.repeats == 1


@pytest.mark.slow
def test_a_profile_is_written_as_table_json_and_chart(tmp_path: Path) -> None:
    costs = [cost(10, 5, 1.0), cost(1000, 5, 10.0), cost(10, 5, 3.0, "<b>other")]
    files = write_costs(costs, {"task": "tiny"}, tmp_path / "deep" / "tiny")
    read = json.loads(files[0].read_text())
    assert read["about"] == {"task": "tiny"}
    assert [each["strategy"] for each in read["costs"]] == ["one", "one", "<b>other"]
    assert read["growth"][0]["pool_exponent"] == pytest.approx(0.5)
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert "vega" in files[2].read_text()
    costs_table, growth_table = cost_tables(costs)
    assert (costs_table.row_count, growth_table.row_count) == (3, 2)


@pytest.mark.slow
def test_the_command_measures_every_pool_with_every_budget(
    lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    written(tmp_path)
    sizes = ("--pool", "40", "--pool", "80", "--budget", "5", "--repeats", "1")
    words = ("--strategy", "entropy", "--strategy", "random", *sizes, "--out", tmp_path / "out")
    result = lossbench_cli("measure", "selection", tmp_path / "tasks/tiny.toml", *words)
    assert result.code == 0, result.errors
    assert [line for line in result.output.splitlines() if line.endswith("picks")] == [
        f"{name}: {pool} candidates, 5 picks" for name in ("entropy", "random") for pool in (40, 80)
    ]
    assert (tmp_path / "out/profiles/tiny.json").is_file()


@pytest.mark.parametrize("number", ["", "10,x", "-5", "0"])
def test_a_number_of_candidates_that_is_none_is_refused(number: str, lossbench_cli: Callable[..., Result]) -> None:
    line = the_line(lossbench_cli("measure", "selection", "cifar10-mini", "--pool", number))
    assert line.startswith("Invalid value for '--pool'")
