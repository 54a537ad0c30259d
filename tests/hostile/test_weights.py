"""Weights that are not finite, or lead to what is not, end a run in one line, for every kind of task, frozen or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import Result
from sample_configs import written
from tiny_tasks import KINDS
from watchdog import watched

TASK = """
name = "tiny"
version = 1
budget = {{ initial = 12, step = 6, rounds = 2 }}

[task]
kind = "{kind}"
data = {{ scenes = {{ seed = 3, pool = 60, test = 24 }}, validation = 12 }}
model = {{ kind = "timm", name = "test_resnet", weights = "bad.pth", pixels = 32, freeze = {freeze}{more} }}
recipe = {{ epochs = 1, batch = 16, optimizer = "adamw", learning_rate = 1e-3 }}
{table}"""
MORE = {"pose": ", deconvolutions = 3"}
"""Of the model's table, by kind."""
TABLES = {"segmentation": "cells = { grid = 4 }"}


@pytest.mark.parametrize("number", [math.nan, 3e38])
@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "trained"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_line_says_where_the_numbers_end(
    kind: str,
    frozen: bool,
    number: float,
    lossbench_cli: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timm = pytest.importorskip("timm")
    weights = timm.create_model("test_resnet").state_dict()
    weights["layer4.0.conv1.weight"].fill_(number)
    monkeypatch.chdir(tmp_path)
    torch.save(weights, "bad.pth")
    words = {"more": MORE.get(kind, ""), "table": TABLES.get(kind, "")}
    sweep = written(tmp_path, TASK.format(kind=kind, freeze=str(frozen).lower(), **words))
    with watched():
        result = lossbench_cli("run", sweep, "--seed", 0, "--workers", 1)
    (line,) = result.errors.splitlines()[-1:]
    assert result.code == 2, result
    assert "Traceback" not in result.errors
    later = "image 0" if frozen else "not finite at step 0"
    wanted = later if math.isfinite(number) else "bad.pth: layer4.0.conv1.weight holds numbers that are not finite"
    assert line.startswith("lossbench: "), line
    assert wanted in line
    assert not list(tmp_path.rglob("records/**/*.json"))
