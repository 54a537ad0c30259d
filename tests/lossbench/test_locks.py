"""Lock files: one process at a time, and none is left, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from sample_configs import TASK, written

from leaderboard.schema.records import write_whole
from lossbench.config_files import read_sweep
from lossbench.locks import locked, remove_abandoned
from lossbench.paths import Paths
from lossbench.running.executors.local import Local
from lossbench.running.jobs import NullSink, jobs
from lossbench.running.kept.metrics import Measured, save_metrics
from lossbench.running.sweep import run_sweep
from tasks.shards import Sharding, load_shards
from tasks.training.loop import TrainingError
from tasks.training.weights import save_weights


def test_a_lock_is_removed_after_a_success_and_after_a_failure(tmp_path: Path) -> None:
    with locked(tmp_path / "a.json"):
        assert [each.name for each in tmp_path.iterdir()] == ["a.json.lock"]
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyError), locked(tmp_path / "a.json"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_who_waited_for_a_removed_lock_takes_a_new_one(tmp_path: Path) -> None:
    file, inside, most = tmp_path / "a.json", [0], [0]

    def count() -> None:
        for _ in range(5):
            with locked(file):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                threading.Event().wait(0.002)
                inside[0] -= 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert not list(tmp_path.iterdir())


def test_only_locks_that_nobody_holds_are_removed(tmp_path: Path) -> None:
    held, left = tmp_path / "held.lock", tmp_path / "left.lock"
    left.touch()
    with FileLock(held):
        for name in ("held", "left"):
            (tmp_path / f".{name}.part").touch()
        remove_abandoned([held, left])
        assert {each.name for each in tmp_path.iterdir()} == {"held.lock", ".held.part"}


def test_what_killed_writers_left_is_removed_with_their_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, metrics, a shard of rows and a record, each half-written."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    def rows(_start: int, _stop: int) -> Iterator[np.ndarray]:
        yield np.zeros((2, 3), np.float32)

    writers: dict[str, Callable[[Path], object]] = {
        "a.safetensors": lambda path: save_weights({"w": torch.zeros(2)}, path),
        "b.json": lambda path: save_metrics(Measured({"accuracy": 0.5}, 1.0), path),
        "00000": lambda path: load_shards(path.parent, Sharding("rows", 2, 2, rows)),
        "c.json": lambda path: write_whole(path, "{}"),
    }
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        patched.setattr(Path, "unlink", lambda *_, **__: None)
        for name, write in writers.items():
            with pytest.raises(KeyboardInterrupt):
                write(tmp_path / name)
    assert len(list(tmp_path.glob("*.part"))) == len(writers)
    for name in writers:
        (tmp_path / f"{name}.lock").touch()
    remove_abandoned(tmp_path.glob("*.lock"))
    assert not list(tmp_path.iterdir())


def test_a_failed_run_leaves_no_lock_and_the_next_sweep_removes_those_of_killed_ones(tmp_path: Path) -> None:
    diverging = TASK.replace('"adamw", learning_rate = 1e-3', '"sgd", learning_rate = 1e30').replace(
        "epochs = 1", "epochs = 4"
    )
    planned, out = jobs(*read_sweep(written(tmp_path, diverging))), tmp_path / "out"
    (out / "models").mkdir(parents=True)
    (out / "models" / "of-a-killed-process.safetensors.lock").touch()
    with pytest.raises(TrainingError):
        run_sweep(planned, Paths(tmp_path, out), Local(1), NullSink())
    assert not list(out.glob("**/*.lock"))
