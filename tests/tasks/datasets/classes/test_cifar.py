"""CIFAR-10's files: nothing is unpickled before every file has the sum that is known of it."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from tasks.datasets.classes.cifar import FOLDER, load_cifar10, official_digests
from tasks.errors import DataError

NAMES = tuple(official_digests())


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable, tuple]:
        return Path.touch, (self.mark,)


def know(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the sums of the files in a folder be the published ones."""
    sums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in NAMES}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name, _ in CIFAR10.train_list])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, sums[name]] for name, _ in CIFAR10.test_list])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in CIFAR-10's form, of two images each, whose sums are known."""
    folder, rng = tmp_path / FOLDER, np.random.default_rng(0)
    folder.mkdir()
    for number, name in enumerate(NAMES):
        batch = {"data": rng.integers(0, 256, (2, 3072), dtype=np.uint8), "labels": [number, 9]}
        meta = {"label_names": [f"class {each}" for each in range(10)]}
        (folder / name).write_bytes(pickle.dumps(meta if name == "batches.meta" else batch, protocol=2))
    know(monkeypatch, folder)
    return tmp_path


def test_images_and_labels_are_those_of_torchvision(root: Path) -> None:
    found = load_cifar10(root)
    train, test = (CIFAR10(str(root), train=each) for each in (True, False))
    assert np.array_equal(found.pixels.numpy().transpose(0, 2, 3, 1), np.concatenate([train.data, test.data]))
    assert found.labels.tolist() == train.targets + test.targets
    assert list(found.class_names) == train.classes
    assert found.pool_size == 10


@pytest.mark.parametrize("name", ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"])
def test_no_file_is_unpickled_before_all_sums_are_right(root: Path, name: str) -> None:
    mark = root / "executed"
    (root / FOLDER / name).write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(DataError, match=rf"{name} is damaged: MD5"):
        load_cifar10(root)
    assert not mark.exists()


def test_that_payload_would_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = root / "executed"
    (root / FOLDER / "batches.meta").write_bytes(pickle.dumps(Payload(mark)))
    know(monkeypatch, root / FOLDER)
    with pytest.raises(TypeError):
        load_cifar10(root)
    assert mark.exists()


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_missing_file_is_named(root: Path, name: str) -> None:
    (root / FOLDER / name).unlink()
    with pytest.raises(DataError, match=rf"not found: .*{name}; .*--data DIR"):
        load_cifar10(root)


def test_a_manifest_beside_the_files_is_not_asked(root: Path) -> None:
    batch = root / FOLDER / "data_batch_2"
    batch.write_bytes(batch.read_bytes()[:-1])
    digest = hashlib.md5(batch.read_bytes()).hexdigest()
    (root / FOLDER / "manifest.json").write_text(f'{{"data_batch_2": "{digest}"}}')
    with pytest.raises(DataError, match="data_batch_2 is damaged"):
        load_cifar10(root)


def test_the_official_sums_are_those_of_the_authors() -> None:
    assert official_digests()["test_batch"] == "40351d587109b95175f43aff81a1287e"
    assert len(official_digests()) == 7
