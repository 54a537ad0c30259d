"""Training throughput of the loop beside a bare step: `uv run pytest tests/benchmarks/bench_training.py`.

The loop's step reads and augments images, computes per-image losses, trains LossNet beside the model and steps both
optimizers. The bare step takes one batch of random numbers from memory through forward, loss, backward and optimizer.
Both are measured in turn in one run, on one thread, in fp32; the ratio of their medians is printed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lossbench.config_files import protocol_file, read_protocol
from lossbench.measuring.training import TrainingSteps
from tasks.kinds import build_task

CONFIGS = Path(__file__).parents[2] / "configs/tasks"
REPEATS = 25


def steps(name: str, sizes: str, cache: Path) -> TrainingSteps:
    """The steps for the images of one protocol and the model of another."""
    protocol, sized_protocol = (read_protocol(protocol_file(CONFIGS, one)) for one in (name, sizes))
    sized = sized_protocol.task
    settings = protocol.task.model_copy(update={"model": sized.model, "recipe": sized.recipe, "pretraining": None})
    return TrainingSteps(build_task(settings, cache, cache, torch.device("cpu")), sized_protocol.loss_prediction)


MODELS = [
    ("scenes-classification", "scenes-classification"),
    ("scenes-classification", "cifar10-mini"),
    ("scenes-detection", "scenes-detection"),
    ("scenes-detection", "voc2007-mini"),
    ("scenes-pose", "scenes-pose"),
    ("scenes-pose", "lspet-mini"),
]


@pytest.mark.parametrize(("name", "sizes"), MODELS)
def test_the_loop_keeps_most_of_a_bare_steps_speed(name: str, sizes: str, cache: Path, benchmark, capsys) -> None:
    timed = steps(name, sizes, cache)
    batch = len(timed.ids)
    seconds: dict[str, list[float]] = {"full": [], "bare": []}
    for _ in range(REPEATS):
        for kind, step in (("full", timed.full), ("bare", timed.bare)):
            seconds[kind].append(timed.seconds_per_step(step))
    medians = {kind: float(np.median(each[3:])) for kind, each in seconds.items()}
    benchmark.extra_info |= {"images per second": batch / medians["full"], "of bare": medians["bare"] / medians["full"]}
    benchmark.pedantic(timed.full, rounds=10, warmup_rounds=1)
    with capsys.disabled():
        rate, share = batch / medians["full"], medians["bare"] / medians["full"]
        print(
            f"\n{sizes}: {rate:.0f} images/s, {share:.0%} of a bare step (batch {batch}, fp32, 1 thread, {REPEATS - 3})"
        )
