"""What is recorded of the machine: peak memory, one thread, the commit."""

from __future__ import annotations

import subprocess
from mmap import mmap
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from lossbench.running import machine
from lossbench.running.sweep import prepare


@pytest.mark.skipif(not machine.HIGH_WATER_RESET.exists(), reason="only Linux resets its high-water mark")
def test_the_peak_of_memory_is_measured_anew() -> None:
    device = torch.device("cpu")
    with mmap(-1, 200 << 20) as pages:  # a mapping of its own: freed memory of the heap may stay resident
        pages.write(bytes(200 << 20))
    before = machine.peak_memory_mebibytes(device)
    machine.reset_peak_memory(device)
    assert machine.peak_memory_mebibytes(device) < before - 100


def test_a_process_computes_on_one_thread() -> None:
    torch.set_num_threads(2)
    prepare()
    assert torch.get_num_threads() == 1


def test_inside_the_checkout_of_another_project_the_commit_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@here"]
    subprocess.run([*git, "init", "-q", tmp_path], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], cwd=tmp_path, check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True)
    for place, expected in (("lossbench/running", head.stdout.strip()), ("venv/lossbench/running", "unknown")):
        (tmp_path / place).mkdir(parents=True)
        monkeypatch.setattr(machine, "__file__", str(tmp_path / place / "machine.py"))
        assert machine.commit.__wrapped__() == expected


def test_the_commit_is_that_of_the_process_start(monkeypatch: pytest.MonkeyPatch) -> None:
    first = machine.commit()
    monkeypatch.setattr(machine.subprocess, "run", None)
    assert machine.commit() == first


@pytest.mark.parametrize(
    ("told", "wanted"), [("a" * 40, "a" * 40), ("a" * 40 + "+changes", "a" * 40 + "+changes"), ("main", "unknown")]
)
def test_a_copy_without_history_is_told_its_commit(told: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSBENCH_COMMIT", told)
    monkeypatch.setattr(machine.subprocess, "run", Mock(side_effect=OSError))
    assert machine.commit.__wrapped__() == wanted
