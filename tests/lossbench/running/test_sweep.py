"""Sweeps: a record per run, the same with workers, and one clear line where a strategy fails or the disk is full."""

from __future__ import annotations

import errno
import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rounding import alike
from safetensors.torch import save_file
from sample_configs import TASK, written
from sweeps import Heard, leftovers, planned, run, timeless, with_short

import tasks.training.weights
from leaderboard.schema.records import read_record
from lossbench.config import ConfigError
from lossbench.running.jobs import Event
from strategies import SelectionError


def test_a_sweep_makes_a_record_per_run_and_makes_none_twice(tmp_path: Path) -> None:
    sweep, out, first, again = written(tmp_path), tmp_path / "out", Heard(), Heard()
    paths = run(sweep, out, sink=first)
    assert [path.relative_to(out).as_posix() for path in paths] == [
        "records/tiny/random-shared-s0.json",
        "records/tiny/random-shared-s1.json",
    ]
    assert first.rounds == [
        *((0, rounds, "running") for rounds in (1, 2, 3)), (0, 3, "done"),
        *((1, rounds, "running") for rounds in (1, 2, 3)), (1, 3, "done"),
    ]  # fmt: skip
    before = [path.read_bytes() for path in paths]
    run(sweep, out, sink=again)
    assert [path.read_bytes() for path in paths] == before
    assert [(each.job, each.rounds, each.state) for each in again.events] == [(0, 3, "done"), (1, 3, "done")]
    assert leftovers(out) == []


def test_a_sweep_is_every_task_track_strategy_and_seed(tmp_path: Path) -> None:
    lines = 'strategies = ["random", "entropy"]\nseeds = [0, 5]\ntracks = ["shared", "native"]\nsplit = "validation"\n'
    found = planned(written(tmp_path, sweep='protocols = ["tiny"]\n' + lines))
    names = sorted(job.path(tmp_path).name for job in found)
    assert names == sorted(
        f"{strategy}-{track}-s{seed}-validation.json"
        for strategy in ("random", "entropy")
        for track in ("shared", "native")
        for seed in (0, 5)
    )
    assert [(job.name, job.seed) for job in found[:3]] == [("random", 0), ("entropy", 0), ("random", 5)], (
        "whole seeds first"
    )


@pytest.mark.slow  # two workers import torch
def test_workers_make_the_records_of_a_single_process(tmp_path: Path) -> None:
    lines = 'protocols = ["tiny"]\nstrategies = ["random", "entropy", "learning-loss-mse"]\nseeds = [0, 1]\n'
    sweep, sink = written(tmp_path, sweep=lines), Heard()
    alone, together = run(sweep, tmp_path / "one"), run(sweep, tmp_path / "two", workers=2, sink=sink)
    assert alike([timeless(path) for path in together], [timeless(path) for path in alone])
    assert {each.job for each in sink.events if each.state == "done"} == set(range(6))
    assert sum(each.state == "running" for each in sink.events) == 6 * 3
    assert leftovers(tmp_path / "two") == []
    fits = {path.name for path in (tmp_path / "two" / "models").glob("*.safetensors")}
    assert fits == {path.name for path in (tmp_path / "one" / "models").glob("*.safetensors")}


def test_a_strategy_that_fails_ends_the_sweep_with_what_was_made(tmp_path: Path) -> None:
    sweep = with_short(tmp_path)
    with pytest.raises(SelectionError, match=r"^short on tiny, round 1: the strategy returned 5 ids; the budget is 6$"):
        run(sweep, tmp_path / "out")
    first, second, third = (job.path(tmp_path / "out") for job in planned(sweep))
    assert timeless(first)
    assert len(read_record(second).rounds) == 1
    assert not third.exists()
    assert not list((tmp_path / "out").glob("**/*.part"))


@pytest.mark.slow
def test_a_full_disk_leaves_the_record_of_the_round_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    first, second = (job.path(out) for job in planned(sweep))

    def fill(event: Event) -> None:
        if event.rounds == 2:
            monkeypatch.setattr("os.fsync", full)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left on device"):
        run(sweep, out, sink=Heard(fill))
    assert len(read_record(first).rounds) == 2
    assert not second.exists()
    assert not list(out.glob("**/*.part"))
    monkeypatch.undo()
    run(sweep, out)
    run(sweep, tmp_path / "whole")
    for path in (first, second):
        assert timeless(path) == timeless(tmp_path / "whole" / path.relative_to(out))


@pytest.mark.slow
def test_a_disk_too_full_for_weights_is_named_and_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is the operating system's own, on the size of a file: the write fails where a full disk's would."""

    def on_a_full_disk(*words: Any, **named: Any) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            save_file(*words, **named)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    sweep, out = written(tmp_path), tmp_path / "out"
    monkeypatch.setattr(tasks.training.weights, "save_file", on_a_full_disk)
    with pytest.raises(
        OSError, match=r"/out/models/\.\w+\.safetensors\.part could not be written: .*File too large"
    ) as caught:
        run(sweep, out)
    assert "\n" not in str(caught.value)
    assert not list(out.glob("models/*.safetensors"))
    assert not list(out.glob("**/*.part"))
    assert not list(out.glob("records/**/*.json"))
    monkeypatch.undo()
    assert all(timeless(path) for path in run(sweep, out))


def test_the_full_pool_is_one_training_on_all_that_may_be_labeled(tmp_path: Path) -> None:
    text = 'protocols = ["tiny"]\nstrategies = ["random"]\nseeds = [0]\nfull_pool_seeds = [0]\n'
    random, full = map(read_record, run(written(tmp_path, sweep=text), tmp_path / "out"))
    assert (full.strategy, full.reference, full.planned_rounds) == ("full-pool", True, 1)
    data = full.config["task"]["data"]
    assert full.rounds[0].labeled == data["scenes"]["pool"] - data["validation"]
    assert full.rounds[0].picked == ()
    assert full.config == random.config
    assert (random.reference, random.planned_rounds) == (False, 3)


def test_a_test_split_without_images_is_refused_before_a_model_trains(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(tmp_path / f"photos/{number}.png")
    labels = [{"image": f"{number}.png", "choice": "ab"[number % 2]} for number in range(12)]
    (tmp_path / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    source = f'{{ images = "{tmp_path}/photos", labels = ["{tmp_path}/labels.json"], held_out = 0.0 }}, validation = 2'
    task = TASK.replace("{ scenes = { seed = 3, pool = 60, test = 24 }, validation = 12 }", f"{{ labeled = {source} }}")
    task = task.replace("initial = 12, step = 6, rounds = 3, subset = 30", "initial = 4, step = 2, rounds = 2")
    with pytest.raises(ConfigError, match=r"tiny holds no image out for testing; raise task\.data\.labeled\.held_out"):
        run(written(tmp_path, task), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.safetensors"))
