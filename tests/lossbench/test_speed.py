"""The speed of training: every phase counted, and as the loop trains."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Result

from lossbench.config import LossPrediction
from lossbench.measuring.training import PHASES, STEPS_PER_WAIT, TrainingSpeed, TrainingSteps, matrix_rate
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


def test_steps_are_timed_together_where_the_loop_does_not_wait(
    tiny_task: Callable[[str], Task[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed, steps = TrainingSteps(tiny_task("classification"), LossPrediction()), []
    monkeypatch.setitem(STEPS_PER_WAIT, "cpu", 4)
    synchronizing = timed.clock
    assert 0.01 < timed.seconds_per_step(lambda: steps.append(time.sleep(0.01))) < 0.1
    assert len(steps) == 4
    assert timed.clock is synchronizing
    assert not synchronizing.seconds


def test_a_matrix_product_takes_time() -> None:
    assert 1e8 < matrix_rate(torch.device("cpu"), torch.float32, repeats=3) < 1e14


def test_the_command_shows_a_table(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    words = ("--steps", "2", "--data", tmp_path, "--out", tmp_path)
    result = lossbench_cli("measure", "training", "scenes-classification", *words)
    assert result.code == 0, result.errors
    for words in (
        "training, images/s",
        "as a share of the bare model's speed",
        "share of time: optimizer",
        "as a share of a matrix product's rate",
        "medians of 2 steps",
    ):
        assert words in result.output
