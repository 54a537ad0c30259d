"""Models of libraries and of one's own, over the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result
from tiny_models import own_model_file

from leaderboard.schema.records import read_record
from tasks.models import outside

PROTOCOL = """
name = "tiny-own"
version = 1
budget = {{ initial = 6, step = 3, rounds = 2 }}
[task]
kind = "classification"
data = {{ scenes = {{ seed = 3, pool = 30, test = 10 }}, validation = 5 }}
recipe = {{ epochs = 1, batch = 4, optimizer = "adamw", learning_rate = 1e-3 }}
model = {{ {model} }}
"""


@pytest.fixture
def protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    monkeypatch.setattr(outside, "_loaded", {})

    def of(model: str) -> Path:
        path = tmp_path / "tasks" / "tiny-own.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(PROTOCOL.format(model=model), encoding="utf-8")
        return path

    return of


OWN = 'kind = "file", name = "two-stages", pixels = 32'


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_model_from_a_file_is_run_and_recorded(
    workers: str, protocol: Callable[[str], Path], tmp_path: Path, lossbench_cli: Callable[..., Result]
) -> None:
    words = ["run", protocol(OWN), "--out", tmp_path / "out", "--workers", workers, "--seed", "0", "--seed", "1"]
    result = lossbench_cli(*words, "--model-file", own_model_file(tmp_path))
    assert result.code == 0, result
    records = [read_record(path) for path in sorted((tmp_path / "out/records").rglob("*.json"))]
    assert [record.seed for record in records] == [0, 1]
    assert all(len(record.fingerprints["model"]) == 64 for record in records)


def test_without_its_file_the_model_is_missed_in_one_line(
    protocol: Callable[[str], Path], tmp_path: Path, lossbench_cli: Callable[..., Result]
) -> None:
    result = lossbench_cli("run", protocol(OWN), "--out", tmp_path / "out", "--workers", "1")
    assert result.code == 2
    assert "no model 'two-stages'; load its file with --model-file FILE" in result.errors
    assert not list((tmp_path / "out/records").rglob("*.json"))


def test_the_parts_of_a_model_are_listed(
    protocol: Callable[[str], Path], tmp_path: Path, lossbench_cli: Callable[..., Result]
) -> None:
    words = ["list", "taps", protocol(OWN), "--out", tmp_path / "out", "--model-file", own_model_file(tmp_path)]
    result = lossbench_cli(*words)
    assert result.code == 0, result
    lines = [line.split() for line in result.output.splitlines()]
    # 3 x 8 kernels of 3 x 3 and 8 biases; 16 x 16 places x 27 x 8 multiplications with additions.
    assert ["0.0", "8", "x", "16", "x", "16", "224", f"{16 * 16 * 27 * 8 * 2:,}"] in lines
    assert ["3", "8", "136", "256"] in lines


def test_the_parts_of_a_frozen_trunk_are_listed_without_making_its_store(
    protocol: Callable[[str], Path], tmp_path: Path, lossbench_cli: Callable[..., Result]
) -> None:
    pytest.importorskip("timm")
    frozen = 'kind = "timm", name = "test_resnet", pixels = 32, freeze = true, mirrored = true'
    result = lossbench_cli("list", "taps", protocol(frozen), "--out", tmp_path / "out")
    assert result.code == 0, result
    assert "layer1" in [line.split()[0] for line in result.output.splitlines() if line]
    assert not list((tmp_path / "out").rglob("features"))
