"""The sweep of the paper's protocols as one command makes it, on rendered scenes with the sizes cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard.schema.records import read_record
from lossbench.config import Budget, Protocol
from lossbench.config_files import read_sweep
from lossbench.paths import Paths
from lossbench.running.jobs import NullSink, jobs
from lossbench.running.sweep import run_job
from tasks.settings import SceneSettings

pytestmark = pytest.mark.slow
SWEEP, PROTOCOLS = read_sweep(Path(__file__).parents[3] / "configs/sweeps/paper.toml")
SMALLER = {"classification": {"width": 8}, "detection": {"imagenet": False}, "pose": {"width": 16, "pixels": 64}}


def cut(protocol: Protocol) -> Protocol:
    """The protocol on a few rendered images, with a small model, few labels and one epoch."""
    task = protocol.task
    scenes: dict[str, object] = {"scenes": SceneSettings(seed=3, pool=12, test=3)}
    if task.kind == "detection":
        scenes["pool"] = ("2007/trainval",)  # all that is rendered
    changes = {
        "data": task.data.model_copy(update=scenes),
        "model": task.model.model_copy(update=SMALLER[task.kind]),
        "recipe": task.recipe.model_copy(update={"epochs": 1, "batch": min(task.recipe.batch, 4)}),
    }
    budget = Budget(initial=4, step=2, rounds=2, subset=6 if protocol.budget.subset else None)
    return protocol.model_copy(update={"budget": budget, "task": task.model_copy(update=changes)})


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.name)
def test_every_arm_of_a_seed_runs_before_the_next_seed(protocol: Protocol, tmp_path: Path, cache: Path) -> None:
    planned = jobs(SWEEP, (cut(protocol),))
    assert [job.seed for job in planned] == sorted(job.seed for job in planned)
    records = []
    for number, job in enumerate(job for job in planned if job.seed == 0):
        records.append(read_record(run_job(number, job, Paths(cache, tmp_path), NullSink())))
    assert [each.strategy for each in records] == ["random", "entropy", "core-set", "learning-loss"]
    assert {tuple(one.labeled for one in each.rounds) for each in records} == {(4, 6)}
    *baselines, ours = records
    assert len({each.rounds[0].metrics["loss"] for each in baselines}) == 1, "all baselines start from the same model"
    assert all("ranking_accuracy" in one.metrics for one in ours.rounds)
    assert not any("ranking_accuracy" in one.metrics for each in baselines for one in each.rounds)
