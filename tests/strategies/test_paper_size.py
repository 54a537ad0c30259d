"""Every strategy once on the real models at paper size: ResNet-18, SSD300, the hourglass of two stacks, a decoder on ResNet-18.

The models are untrained and the images rendered; what is measured is that it runs, how long it takes, and what it holds.
`uv run pytest -m slow tests/strategies/test_paper_size.py -s` prints the table of docs/costs.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from lossbench.config import LossPrediction
from lossbench.config_files import protocol_file, read_protocol
from lossbench.running.evaluation import true_losses
from lossbench.running.kept.models import TrainingPlan
from lossbench.running.machine import memory_growth
from lossbench.running.selecting import checked
from lossbench.running.streams import stream
from strategies import STRATEGIES, Context, Strategy
from strategies.base import Oracle
from tasks.base import Task
from tasks.kinds import build_task
from tasks.training.learner import Learner
from tasks.training.readings import readings
from tasks.training.seeding import seeded

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]
CONFIGS = Path(__file__).parents[2] / "configs/tasks"
PAPER = {"classification": "cifar10", "detection": "voc0712", "pose": "mpii", "segmentation": "cityscapes"}
UNTRAINED = {"detection": {"imagenet": False}, "segmentation": {"weights": "none"}}
"""Changes of models that start from weights of ImageNet."""
LABELED, CANDIDATES, BUDGET = np.arange(4), np.arange(4, 10), 2


@dataclass
class Measured:
    """Seconds and mebibytes by strategy and kind of task."""

    cells: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def measured(pytestconfig: pytest.Config) -> Iterator[Measured]:
    """Filled by the tests, printed at the end where output is shown: workers have a part of the table each."""
    found = Measured()
    yield found
    if pytestconfig.option.capture == "no":
        show(found)


def show(found: Measured) -> None:
    names = dict.fromkeys(name for name, _ in found.cells)
    print("\n| strategy | " + " | ".join(PAPER) + " |")
    for name in names:
        cells = [found.cells.get((name, kind)) for kind in PAPER]
        print(
            f"| {name} | " + " | ".join(f"{each[0]:.1f} s, {each[1]:.0f} MiB" if each else "" for each in cells) + " |"
        )


@pytest.fixture(scope="module")
def paper_task(cache: Path) -> Callable[[str], Task]:
    """A kind's task: the model of the paper on rendered scenes."""
    built: dict[str, Task] = {}

    def of(kind: str) -> Task:
        if kind not in built:
            built.clear()  # one at a time in memory
            paper, scenes = (
                read_protocol(protocol_file(CONFIGS, name)).task for name in (PAPER[kind], f"scenes-{kind}")
            )
            changes = {"model": paper.model.model_copy(update=UNTRAINED.get(kind, {}))}
            changes |= {"pretraining": None} if kind == "detection" else {}
            built[kind] = build_task(scenes.model_copy(update=changes), cache, cache, torch.device("cpu"))
        return built[kind]

    return of


def committee_of(task: Task, strategy: Strategy) -> tuple[Learner, ...]:
    """Untrained models with what the strategy needs beside them."""
    needs = TrainingPlan.of(strategy, LossPrediction(), "shared")
    learners = []
    for member in range(strategy.committee_size):
        with seeded(stream(member, "weights")), torch.no_grad():
            model = task.build_model().placed(torch.device("cpu")).eval()
            outputs = model(task.unlabeled.images(LABELED[:1]))
            parts = (needs.lossnet, needs.auxiliary)
            modules = [each.build(readings(task.unlabeled, outputs, each)).eval() if each else None for each in parts]
        learners.append(Learner(task.unlabeled, model, *modules, batch=2))
    return tuple(learners)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
@pytest.mark.parametrize("size", PAPER)
def test_a_strategy_picks_at_paper_size(
    size: str, strategy: type[Strategy], paper_task: Callable[[str], Task], measured: Measured
) -> None:
    task, chosen = paper_task(size), strategy.smoke()
    committee = committee_of(task, chosen)
    ctx = Context(
        budget=BUDGET,
        labeled=LABELED,
        candidates=CANDIDATES,
        committee=committee,
        rng=stream(0, "select"),
        labeled_groups=lambda: task.groups(LABELED, LABELED),
        oracle=Oracle(lambda ids: true_losses(task, committee[0], ids), lambda ids: float(ids.sum()))
        if chosen.cheats
        else None,
    )
    start = time.perf_counter()
    with memory_growth(torch.device("cpu")) as grown:
        selection = chosen.select(ctx)
    measured.cells[chosen.name, size] = time.perf_counter() - start, max(grown, default=0.0)
    checked(selection, ctx, f"{chosen.name} at paper size")
