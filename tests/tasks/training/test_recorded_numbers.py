"""The trainings of the rendered protocols give today what they gave when their records were made.

Where a test fails after a change of code, either the change goes, or the protocol's `version` rises and its runs are made again
(a pretraining's: `VERSION` in `tasks/training/pretraining.py`, too), and the numbers here follow.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_learners import plan_of

from lossbench.running.evaluation import true_losses
from lossbench.running.kept.models import ModelCache
from tasks.base import Task
from tasks.kinds import build_task, task_settings
from tasks.training.clock import Clock

PROTOCOLS = Path(__file__).parents[3] / "configs/tasks/scenes"
FEW = {"pool": 48, "test": 16}
LABELED = np.arange(32)


def of_protocol(name: str, part: str, cache: Path) -> Task:
    """The task of a protocol, or that of its pretraining, on few images for one epoch."""
    content = tomllib.loads((PROTOCOLS / f"{name}.toml").read_text(encoding="utf-8"))
    table: dict[str, Any] = content["task"].get(part, content["task"])
    table.pop("pretraining", None)
    table["data"] |= {"scenes": table["data"]["scenes"] | FEW, "validation": 0}
    table["recipe"]["epochs"] = 1
    return build_task(task_settings(table), cache, cache, torch.device("cpu"))


@pytest.mark.parametrize(
    ("name", "part", "inputs", "first_loss", "last_loss"),
    [
        ("scenes-classification", "task", (-0.128961, 1.038966), 2.115582, 2.1848),
        ("scenes-detection", "task", (0.218546, 0.886402), 26.08105, 18.997),
        ("scenes-detection", "pretraining", (-0.183453, 0.991242), 2.270464, 2.2959),
        ("scenes-pose", "task", (-0.253606, 1.057359), 0.0239893, 0.02298),
        ("scenes-segmentation", "task", (0.287291, 0.758570), 2.355440, 80.914),
    ],
)
def test_trainings_give_the_numbers_of_the_records(
    name: str, part: str, inputs: tuple[float, float], first_loss: float, last_loss: float, cache: Path, tmp_path: Path
) -> None:
    task = of_protocol(name, part, cache)
    torch.manual_seed(0)
    model = task.build_model().placed(torch.device("cpu"))
    images, targets = task.augmented(LABELED, np.random.default_rng(0))
    losses = task.unlabeled.losses(model(images).raw, targets)
    assert (images.mean().item(), images.std().item()) == pytest.approx(inputs, rel=1e-4)
    assert losses.mean().item() == pytest.approx(first_loss, rel=1e-3)

    learner = ModelCache(tmp_path, task, 0, plan_of(), Clock()).tried(LABELED)
    assert true_losses(task, learner, task.test_ids).mean() == pytest.approx(last_loss, rel=2e-2), "rounding, 2 steps"
