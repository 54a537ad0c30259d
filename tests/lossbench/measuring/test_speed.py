"""The speed of training: every phase counted, and as the loop trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Result
from sample_configs import written

from lossbench.config import LossPrediction
from lossbench.config_files import read_protocol
from lossbench.measuring.training import (
    ENDINGS,
    MATRIX_SIDE,
    PHASES,
    STEPS_PER_WAIT,
    WARM_UP,
    StepSpeed,
    TrainingSpeed,
    TrainingSteps,
    matrix_rate,
)
from lossbench.measuring.training_report import speed_table
from lossbench.paths import Paths
from tasks.base import Task


def test_a_speed_is_images_over_seconds() -> None:
    seconds = dict(zip(PHASES, (0.1, 0.2, 0.5, 0.2), strict=True))
    ordinary, captured = StepSpeed(1.25, 0.8, seconds), StepSpeed(0.5, 0.45, {**seconds, "backward": 1.5})
    speed = TrainingSpeed(50, ordinary, captured, inference_seconds=0.025, operations=3e9, matrix_rate=1e10, steps=5)
    table = speed_table(read_protocol("cifar10-mini"), speed, Paths(Path(), Path()))
    shown = {str(name): cells for name, *cells in zip(*(column.cells for column in table.columns), strict=True)}
    assert shown["training, images/s"] == ["40", "100"]
    assert shown["as a share of the bare model's speed"] == ["64%", "90%"]
    assert shown["share of time: backward"] == ["50%", "75%"]
    assert shown["training, GFLOP/s"] == ["2.4", "6.0"]
    assert shown["as a share of a matrix product's rate"] == ["24%", "60%"]
    assert "selection reads 40 images/s" in str(table.caption)


def test_a_step_trains_model_and_lossnet_and_counts_every_phase(
    kind: str, tiny_task: Callable[[str], Task[Any, Any]]
) -> None:
    timed = TrainingSteps(tiny_task(kind), LossPrediction())
    modules = {"model": timed.model, "lossnet": timed.attachment.module}

    def changed(step: Callable[[], None]) -> set[str]:
        before = {name: [each.clone() for each in module.parameters()] for name, module in modules.items()}
        step()
        return {
            name
            for name, module in modules.items()
            if any(not torch.equal(*pair) for pair in zip(before[name], module.parameters(), strict=True))
        }

    assert changed(timed.full) == {"model", "lossnet"}
    assert set(timed.clock.seconds) == set(PHASES)
    assert all(seconds > 0 for seconds in timed.clock.seconds.values())
    assert changed(timed.bare) == {"model"}
    assert changed(timed.inference) == set()
    for phase, ending in ENDINGS.items():
        assert changed(timed.device_steps(ending).launch(0.0)) == ({*modules} if phase == "optimizer" else set())
    assert changed(timed.device_steps(ENDINGS["optimizer"], bare=True).launch(0.0)) == {"model"}


class Stopwatch:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """What the clock of training reads."""
    found = Stopwatch()
    monkeypatch.setattr("tasks.training.clock.perf_counter", found.perf_counter)
    return found


def test_steps_are_timed_together_where_the_loop_does_not_wait(
    tiny_task: Callable[[str], Task[Any, Any]], stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed, seconds = TrainingSteps(tiny_task("classification"), LossPrediction()), iter((1.0, 2.0, 4.0, 9.0))
    monkeypatch.setitem(STEPS_PER_WAIT, "cpu", 4)
    synchronizing = timed.clock
    assert timed.seconds_per_step(lambda: stopwatch.advance(next(seconds))) == 4.0
    assert list(seconds) == []
    assert timed.clock is synchronizing
    assert not synchronizing.seconds


def test_the_matrix_rate_is_two_operations_an_element_and_column_over_the_median_time(
    stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm_up, counted = [9.0] * WARM_UP, [0.5, 0.25, 8.0]
    seconds, shapes = iter(warm_up + counted), []

    def product(one: torch.Tensor, other: torch.Tensor) -> None:
        shapes.append((tuple(one.shape), tuple(other.shape), one.dtype))
        stopwatch.advance(next(seconds))

    monkeypatch.setattr(torch, "mm", product)
    side = MATRIX_SIDE["cpu"]
    assert matrix_rate(torch.device("cpu"), torch.bfloat16, repeats=3) == 2 * side**3 / 0.5
    assert set(shapes) == {((side, side), (side, side), torch.bfloat16)}


def test_the_command_shows_a_table(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    written(tmp_path)
    words = ("--steps", "2", "--data", tmp_path, "--out", tmp_path)
    result = lossbench_cli("measure", "training", tmp_path / "tasks/tiny.toml", *words)
    assert result.code == 0, result.errors
    for words in (
        "training, images/s",
        "as a share of the bare model's speed",
        "share of time: optimizer",
        "as a share of a matrix product's rate",
        "medians of 2 steps",
        "data on the device",
    ):
        assert words in " ".join(result.output.split())
