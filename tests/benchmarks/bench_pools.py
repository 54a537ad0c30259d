"""Scores of a large pool: an actor of Ray Data beside the loop of one process, on one core each.

`uv run pytest -n 0 tests/benchmarks/bench_pools.py -s`, five minutes on an idle machine.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from photo_folders import CLASSES, photograph
from ray_clusters import cluster
from shards import tar_shard

from lossbench.labeling.makers import helpers
from lossbench.labeling.plan import Request, plan_round
from lossbench.labeling.round import LabelingRound

COUNT, FILES = 16_000, 8
LEAST = 0.85
"""Of the loop's images a second."""
MODEL = {"kind": "resnet18", "width": 16, "pixels": 64}
RECIPE = {"epochs": 1, "batch": 8, "optimizer": "adamw", "learning_rate": 1e-3}
LABELED = 30


def speed(cache: Path) -> float:
    """Images a second from the end of the first file of scores to that of the last: without the start of processes."""
    ends = sorted(path.stat().st_mtime_ns for path in cache.glob("scores/*/*.npy"))
    assert len(ends) == FILES
    return (COUNT - LABELED) * (FILES - 1) / FILES / ((ends[-1] - ends[0]) / 1e9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # of Ray
def test_scores_through_ray_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    members = {}
    for number in range(COUNT):
        content = io.BytesIO()
        photograph(number, 64).save(content, "JPEG")
        members[f"{number:05}.jpg"] = content.getvalue()
    tar_shard(Path("photos.tar"), members)
    rows = [f"{number:05}.jpg,{CLASSES[number % 2]}" for number in range(LABELED)]
    Path("labels.csv").write_text("\n".join(["path,label", *rows, ""]), encoding="utf-8")
    table = {"strategy": "margin", "budget": 5, "duplicate_bits": -1, "task": {"model": MODEL, "recipe": RECIPE}}
    settings = plan_round(Request("photos.tar", ("labels.csv",), "classification", CLASSES, table))
    found = []
    with cluster() as nodes:
        for name, address in (("loop", None), ("ray", nodes.address), ("loop-again", None)):
            with helpers(settings, Path(name), "cpu", 1, address):
                LabelingRound(settings, Path(name), torch.device("cpu")).run()
            found.append(speed(Path(name)))
    loop, ray = (found[0] + found[2]) / 2, found[1]
    print(f"\nloop {loop:.0f} images/s, through Ray Data {ray:.0f}: {100 * ray / loop:.0f} %")
    assert ray >= LEAST * loop
