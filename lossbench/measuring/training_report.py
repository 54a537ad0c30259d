"""A table of how fast a protocol trains."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from rich.table import Column, Table

from leaderboard.scoring.entries import Hardware
from lossbench.config import Protocol
from lossbench.measuring.training import PHASES, StepSpeed, TrainingSpeed
from lossbench.paths import Paths
from lossbench.running.machine import describe


def speed_table(protocol: Protocol, speed: TrainingSpeed, paths: Paths) -> Table:
    """A table of a protocol's speed, with the machine in its caption."""
    machine = Hardware.of(describe(torch.device(paths.device)))
    caption = (
        f"{protocol.name} on {machine}; batch {speed.batch}, {protocol.task.recipe.precision}, medians of {speed.steps} "
        f"steps; selection reads {1 / speed.inference_seconds:,.0f} images/s; a matrix product makes "
        f"{speed.matrix_rate / 1e9:,.0f} GFLOP/s"
    )
    captured = "in a CUDA graph" if torch.device(paths.device).type == "cuda" else "data on the device"
    ways = {"step by step": speed.ordinary} | ({captured: speed.device} if speed.device else {})
    columns = [Column(name, justify="right") for name in ways]
    table = Table(Column(no_wrap=True), *columns, caption=caption, min_width=70)
    rows: dict[str, Callable[[StepSpeed], str]] = {
        "training, images/s": lambda way: f"{speed.batch / way.seconds:,.0f}",
        "as a share of the bare model's speed": lambda way: f"{way.relative_to_bare:.0%}",
        **{f"share of time: {phase}": partial(_share, phase) for phase in PHASES},
        "training, GFLOP/s": lambda way: f"{speed.operations / way.seconds / 1e9:,.1f}",
        "as a share of a matrix product's rate": lambda way: (
            f"{speed.operations / way.seconds / speed.matrix_rate:.0%}"
        ),
    }
    for name, cell in rows.items():
        table.add_row(name, *(cell(way) for way in ways.values()))
    return table


def _share(phase: str, way: StepSpeed) -> str:
    return f"{way.phase_seconds[phase] / sum(way.phase_seconds.values()):.0%}"
