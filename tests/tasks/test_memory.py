"""Tensors that lie in files because they do not fit the memory."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import pytest
import torch
from full_disks import full_disk
from resident import resident_mebibytes

from tasks import memory
from tasks.errors import DataError
from tasks.memory import gathered, in_file, parts, release, room


@pytest.fixture
def kibibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of more than a kibibyte lie in files."""
    monkeypatch.setenv(memory.MEMORY, str(2**-20))


@pytest.mark.parametrize(
    ("group", "limits", "wanted"),
    [
        ("/", {}, None),
        ("/job/step", {"job": "3000000", "job/step": "max"}, 3_000_000),
        ("/job/step", {"job": "3000000", "job/step": "2000000"}, 2_000_000),
        ("/elsewhere", {"": "4000000"}, 4_000_000),
    ],
)
def test_a_limit_of_the_container_or_job_counts(
    group: str, limits: dict[str, str], wanted: int | None, tmp_path: Path
) -> None:
    groups, own = tmp_path / "groups", tmp_path / "own"
    groups.mkdir()
    (tmp_path / "memory.max").write_text("1")  # above the control groups
    own.write_text(f"1:name=systemd:/other\n0::{group}\n")
    for folder, limit in limits.items():
        (groups / folder).mkdir(parents=True, exist_ok=True)
        (groups / folder / "memory.max").write_text(f"{limit}\n")
    whole = memory.own_memory(groups, tmp_path / "missing")
    assert memory.own_memory(groups, own) == (wanted or whole)
    assert whole > 10_000_000 or wanted == 4_000_000, "a file that is not there limits nothing below the root"


@pytest.mark.usefixtures("kibibyte")
def test_what_is_too_large_lies_in_a_file_without_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    like = torch.zeros(1, 8)
    small, large = room(32, like), room(33, like)
    assert (in_file(small), in_file(large)) == (False, True)
    assert (large.shape, large.dtype) == ((33, 8), torch.float32)
    assert in_file(large[3:5])
    assert not list(tmp_path.iterdir())
    assert room(0, like).shape == (0, 8)


def test_nothing_of_an_ordinary_size_lies_in_a_file() -> None:
    assert not in_file(room(1000, torch.zeros(1, 512)))


@pytest.mark.usefixtures("kibibyte")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_what_is_released_keeps_its_numbers(dtype: torch.dtype) -> None:
    numbers = torch.arange(3000).view(1000, 3).to(dtype)
    held = room(1000, numbers).copy_(numbers)
    for part in (held, held[7:9], held[:, 1], held[999:], held[:0]):
        release(part)
        assert torch.equal(held, numbers)
    assert torch.equal(torch.cat([part.clone() for part in parts(held, 7)]), numbers)
    rows = torch.randperm(1000)[:600]
    copies = gathered(held, rows)
    assert torch.equal(copies, numbers[rows])
    assert torch.equal(gathered(numbers, rows), numbers[rows])


def test_a_file_is_no_memory_of_this_process_once_it_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.MEMORY, "0")
    before = resident_mebibytes()
    held = room(64, torch.zeros(1, 2**18))
    held.fill_(1)
    assert resident_mebibytes() - before > 50
    release(held)
    assert resident_mebibytes() - before < 20
    for part in parts(held, 8):
        assert part.sum() == 8 * 2**18
        assert resident_mebibytes() - before < 30
    assert resident_mebibytes() - before < 20


def test_a_file_goes_with_its_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.MEMORY, "0")
    gc.collect()
    before = len(memory._files)
    part = room(9, torch.zeros(1, 3))[2:]
    gc.collect()
    assert len(memory._files) == before + 1
    part.fill_(1)
    del part
    gc.collect()
    assert len(memory._files) == before


@pytest.mark.usefixtures("kibibyte")
def test_a_full_disk_is_known_at_once_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with full_disk(free=10_000), pytest.raises(OSError, match=f"File too large: '{tmp_path}'"):
        room(1000, torch.zeros(1, 8))


@pytest.mark.parametrize("given", ["two", "-1", "nan", ""])
def test_a_limit_that_is_no_number_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.MEMORY, given)
    with pytest.raises(DataError, match="give a number of gibibytes"):
        room(1, torch.zeros(1, 1))
