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
from lossbench.measuring.training import (
    MATRIX_SIDE,
    PHASES,
    STEPS_PER_WAIT,
    WARM_UP,
    TrainingSpeed,
    TrainingSteps,
    matrix_rate,
)
from tasks.base import Task


def test_a_speed_is_images_over_seconds() -> None:
    seconds = dict(zip(PHASES, (0.1, 0.2, 0.5, 0.2), strict=True))
    speed = TrainingSpeed(
        50, 1.25, seconds, bare_seconds=0.8, inference_seconds=0.25, operations=3e9, matrix_rate=1e10, steps=5
    )
    assert speed.images_per_second == pytest.approx(40)
    assert speed.relative_to_bare == pytest.approx(0.64)
    assert speed.operations_per_second == pytest.approx(2.4e9)


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
    ):
        assert words in result.output
