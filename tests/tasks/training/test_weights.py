"""Files of tensors: what differs from what was written is never read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tasks.training.pretraining import _kept
from tasks.training.weights import DamagedWeightsError, digest_of, read_weights, save_weights

TENSORS = {
    "matrix": torch.arange(6.0).reshape(2, 3),
    "half": torch.tensor([0.5, -0.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_weights(TENSORS, tmp_path / "a.safetensors", {"seconds": "1.5"})
    return tmp_path / "a.safetensors"


def equal(found: dict[str, Tensor]) -> bool:
    return found.keys() == TENSORS.keys() and all(torch.equal(found[name], each) for name, each in TENSORS.items())


def test_what_is_written_is_read(file: Path) -> None:
    found = read_weights(file)
    assert equal(found.tensors)
    assert found.metadata == {"seconds": "1.5"}
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_change_of_any_byte_is_seen(file: Path) -> None:
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = read_weights(file)
        except DamagedWeightsError:
            continue
        assert equal(found.tensors), f"byte {place} of {len(whole)}"  # such as a space of the header
        assert found.metadata == {"seconds": "1.5"}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda whole: whole[:-1],
    "longer": lambda whole: whole + b"0",
    "garbage": lambda _: b"not a file of tensors",
    "zeroed": lambda whole: whole[:-24] + bytes(24),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_refused(file: Path, name: str) -> None:
    file.write_bytes(DAMAGES[name](file.read_bytes()))
    with pytest.raises(DamagedWeightsError, match=r"no file of tensors|digest differs"):
        read_weights(file)


def test_a_file_without_a_digest_is_refused_unless_it_may_have_none(file: Path) -> None:
    save_file(TENSORS, file)
    with pytest.raises(DamagedWeightsError, match="no digest"):
        read_weights(file)
    assert equal(read_weights(file, digest_required=False).tensors)


def test_the_digest_of_tensors_is_that_of_their_file_without_metadata(file: Path) -> None:
    save_file(TENSORS, file)
    assert digest_of(TENSORS) == hashlib.sha256(file.read_bytes()).hexdigest(), "records name trunks by this number"


def test_a_damaged_trunk_is_not_used_and_one_line_says_so(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert equal(_kept(file) or {})
    assert not caplog.records
    file.write_bytes(file.read_bytes()[:-24] + bytes(24))
    assert _kept(file) is None
    (record,) = caplog.records
    wanted = f"lossbench: {file} is damaged (its digest differs from its content); its weights are trained again"
    assert record.getMessage() == wanted
    assert _kept(file.with_name("none")) is None


def test_tensors_that_share_memory_are_written_one_by_one(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    twice = {"layer.weight": whole[:3], "again": whole[:3], "other": whole[3:]}
    save_weights(twice, tmp_path / "twice")
    assert all(torch.equal(each, twice[name]) for name, each in read_weights(tmp_path / "twice").tensors.items())
    assert digest_of(twice) == digest_of({name: each.clone() for name, each in twice.items()})
