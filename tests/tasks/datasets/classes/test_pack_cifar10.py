"""What `examples/pack_cifar10.py` packs is restored byte by byte."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[4] / "examples/pack_cifar10.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("pack_cifar10", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pieces_of_a_file_are_its_bytes(example: ModuleType) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1203, example.PIXEL_BYTES)).astype(np.uint8)
    content = b"before" + pixels.tobytes() + b"after"
    pieces = dict(example.entries(content, pixels))
    assert sorted(pieces) == ["000.webp", "001.webp", "002.webp", "head", "tail"]
    assert example.restored(pieces) == content
    assert example.restored(dict(example.entries(b"names", None))) == b"names"
    with pytest.raises(ValueError, match="not found"):
        dict(example.entries(content, pixels[::-1]))


def test_parts_are_unpacked_one_by_one(example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    batches = {
        f"batch_{number}": rng.integers(0, 256, (3, example.PIXEL_BYTES)).astype(np.uint8) for number in range(4)
    }
    contents = {name: name.encode() + data.tobytes() for name, data in batches.items()} | {"meta": b"classes"}
    by_content = {content: {"data": batches[name]} if name in batches else {} for name, content in contents.items()}
    monkeypatch.setattr(example, "checked_contents", lambda folder, digests: contents)
    monkeypatch.setattr(example, "unpickled", by_content.get)
    parts = example.pack(tmp_path / "official", tmp_path / "parts", 2)
    assert [len({entry.split("/")[0] for entry in ZipFile(part).namelist()}) for part in parts] == [3, 2]
    assert len(example.unpack(parts[:1], tmp_path / "restored")) == 3
    assert len(example.unpack(parts[1:], tmp_path / "restored")) == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "restored").iterdir()} == contents
