"""Damaged files of models and metrics: trained or measured again, said in one line, and the record is the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rounding import alike
from sample_configs import TASK, written

from leaderboard.schema.records import read_record
from lossbench.config_files import read_sweep
from lossbench.paths import Paths
from lossbench.running.executors.local import Local
from lossbench.running.jobs import NullSink, jobs
from lossbench.running.sweep import run_sweep

ONE_RUN = 'protocols = ["tiny"]\nstrategies = ["entropy"]\nseeds = [0]\n'
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda whole: whole[: len(whole) // 2],
    "zeroed": lambda whole: (
        whole[: len(whole) // 2] + bytes(min(4000, len(whole) // 4)) + whole[len(whole) // 2 + 4000 :]
    ),
}


def run(sweep: Path, out: Path) -> dict[str, Any]:
    """The record, without what the clock says."""
    (path,) = run_sweep(jobs(*read_sweep(sweep)), Paths(sweep.parent, out), Local(1), NullSink())
    clock = {"__all__": {"seconds", "peak_memory_mebibytes"}}
    return read_record(path).model_dump(exclude={"commit": True, "rounds": clock})


@pytest.fixture(scope="module", params=["cold", "warm"])
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, dict[str, Any]]:
    """A sweep of one run, its folder and its record."""
    folder = tmp_path_factory.mktemp(request.param)
    warm = TASK.replace("epochs = 1,", "epochs = 1, warm_start = true,")
    sweep = written(folder, TASK if request.param == "cold" else warm, ONE_RUN)
    return sweep, folder / "out", run(sweep, folder / "out")


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "said"), [("*.safetensors", "trained again"), ("*.json", "measured again")])
def test_what_is_damaged_is_made_again(
    finished: tuple[Path, Path, dict[str, Any]], pattern: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    sweep, out, wanted = finished
    files = sorted((out / "models").glob(pattern))
    for file, damage in zip(files, DAMAGES.values(), strict=True):
        file.write_bytes(damage(file.read_bytes()))
    for record in out.glob("records/*/*.json"):
        record.unlink()
    assert alike(run(sweep, out), wanted)
    lines = [record.getMessage() for record in caplog.records]
    assert sorted(line.split()[1] for line in lines) == [str(file) for file in files]
    assert all(" is damaged" in line and line.endswith(said) for line in lines)


def test_metrics_that_were_changed_are_measured_again(
    finished: tuple[Path, Path, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    sweep, out, wanted = finished
    file = min((out / "models").glob("*.json"))
    content = json.loads(file.read_text(encoding="utf-8"))
    content["metrics"]["accuracy"] = 0.999
    file.write_text(json.dumps(content), encoding="utf-8")
    for record in out.glob("records/*/*.json"):
        record.unlink()
    assert alike(run(sweep, out), wanted)
    assert [record.getMessage() for record in caplog.records] == [
        f"lossbench: {file} is damaged; its metrics are measured again"
    ]
