"""The store of a frozen trunk: what lies in it, and that nothing which happens to its files gives other numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from full_disks import full_disk
from torch import Tensor

from tasks.errors import DataError
from tasks.images.pixels import Pixels
from tasks.models.settings import LibrarySettings
from tasks.models.trunks import frozen, store
from tasks.models.trunks.frozen import RowLayout, Views, feature_store
from tasks.models.trunks.library import LibraryBackbone
from tasks.models.trunks.store import trunk_store
from tasks.progress import listening
from tasks.shards import Sharding, load_shards
from tasks.training.seeding import seeded

COUNT = 25
IDS = np.array([3, 24, 0, 3, 11])


class Trunk:
    """Two taps and one feature of images whose pixels are all equal to their id; counts the images that it sees."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        self.seen += len(images)
        mean = images.mean((1, 2, 3))
        map_ = mean.view(-1, 1, 1, 1) + torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
        return (map_, map_.repeat(1, 2, 1, 1)), (torch.stack([mean, -mean, images[:, 0, 0, 0]], 1),)


def read(ids: np.ndarray) -> Tensor:
    images = torch.from_numpy(ids).float().view(-1, 1, 1, 1).repeat(1, 3, 2, 2)
    images[:, :, :, 0] -= 0.5
    images[:, :, :, 1] += 0.5
    return images


@pytest.fixture
def trunk(monkeypatch: pytest.MonkeyPatch) -> Trunk:
    monkeypatch.setattr(frozen, "SHARD_ROWS", 8)
    monkeypatch.setattr(frozen, "TRUNK_BATCH", 3)
    return Trunk()


def views(trunk: Callable, *, mirrored: bool = False) -> Views:
    reads = (read, lambda ids: read(ids).flip(3)) if mirrored else (read,)
    return Views(reads, COUNT, trunk, RowLayout.of(*trunk(read(IDS))), bf16=False)


def test_rows_are_features_and_pooled_taps(trunk: Trunk, tmp_path: Path) -> None:
    made = views(trunk)
    taps, (feature,) = made.layout.unpack(feature_store(tmp_path, made).rows(IDS))
    ids = torch.from_numpy(IDS).float()
    torch.testing.assert_close(feature, torch.stack([ids, -ids, ids - 0.5], 1))
    assert [tuple(tap.shape) for tap in taps] == [(5, 1, 1, 1), (5, 2, 1, 1)]
    torch.testing.assert_close(taps[0].flatten(), ids + 1.5)


def test_the_second_view_is_mirrored(trunk: Trunk, tmp_path: Path) -> None:
    made = views(trunk, mirrored=True)
    store = feature_store(tmp_path, made)
    which = np.array([0, 1, 1, 0, 1])
    _, (feature,) = made.layout.unpack(store.rows(IDS, which))
    torch.testing.assert_close(feature[:, 2], torch.from_numpy(IDS + np.where(which, 0.5, -0.5)).float())


def test_every_image_is_seen_once_whoever_opens_the_store(trunk: Trunk, tmp_path: Path) -> None:
    made = views(trunk)
    trunk.seen = 0
    first = feature_store(tmp_path, made).rows(IDS)
    assert torch.equal(feature_store(tmp_path, made).rows(IDS), first)
    assert trunk.seen == COUNT


def test_long_rows_make_files_of_fewer_rows(trunk: Trunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = feature_store(tmp_path / "whole", views(trunk)).rows(np.arange(COUNT))
    monkeypatch.setattr(frozen, "SHARD_BYTES", 5 * 2 * whole.shape[1])
    store = feature_store(tmp_path / "parts", views(trunk, mirrored=True))
    assert [len(shard) for shard in store.shards] == [5] * (2 * COUNT // 5)
    assert torch.equal(store.rows(np.arange(COUNT)), whole)
    assert torch.equal(store.rows(IDS, 1)[:, 1], -torch.from_numpy(IDS).float())


@pytest.mark.parametrize("harm", ["cut off", "emptied", "changed", "deleted", "a pickle"])
def test_a_damaged_file_is_computed_again(harm: str, trunk: Trunk, tmp_path: Path) -> None:
    made = views(trunk)
    right = feature_store(tmp_path, made).rows(np.arange(COUNT))
    path = sorted(tmp_path.glob("*.npy"))[1]
    content = path.read_bytes()
    if harm == "deleted":
        path.unlink()
    else:
        changed = bytearray(content)
        changed[-1] ^= 1
        path.write_bytes({"cut off": content[:-9], "emptied": b"", "changed": bytes(changed)}.get(harm, b"\x80\x04N."))
    trunk.seen = 0
    assert torch.equal(feature_store(tmp_path, made).rows(np.arange(COUNT)), right)
    assert trunk.seen == 8, "only the rows of that file"


def test_two_that_need_it_share_the_work(trunk: Trunk, tmp_path: Path) -> None:
    made = views(trunk)
    trunk.seen = 0
    stores: list[Tensor] = []
    threads = [
        threading.Thread(target=lambda: stores.append(feature_store(tmp_path, made).rows(IDS))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert torch.equal(*stores)
    assert trunk.seen == COUNT


def test_an_image_with_numbers_that_are_not_finite_is_named(trunk: Trunk, tmp_path: Path) -> None:
    made = views(trunk)

    def spoiled(images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        taps, (feature,) = trunk(images)
        return taps, (torch.where(feature == 17, torch.inf, feature),)

    bad = Views(made.read, COUNT, spoiled, made.layout, bf16=False)
    with pytest.raises(DataError, match=r"image 17 .*not finite"):
        feature_store(tmp_path, bad)
    assert len(list(tmp_path.glob("*.npy"))) == 2, "the files before it are whole"
    assert not list(tmp_path.glob("*.part"))


def test_a_full_disk_leaves_no_part_of_a_file(trunk: Trunk, tmp_path: Path) -> None:
    with full_disk(), pytest.raises(OSError, match=r"File too large: '.*00000\.part'"):
        feature_store(tmp_path, views(trunk))
    assert not list(tmp_path.glob("*.npy")) + list(tmp_path.glob("*.part"))


def test_whoever_listens_hears_how_far_it_is(trunk: Trunk, tmp_path: Path) -> None:
    said: list[str] = []
    with listening(said.append):
        feature_store(tmp_path, views(trunk))
    feature_store(tmp_path / "unheard", views(trunk))
    assert [line.split(",")[0] for line in said] == [f"frozen features: {share} %" for share in (25, 50, 75, 100)]


def test_threads_compute_the_rows_that_one_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a library's trunk, whose taps are collected by hooks: threads that share it would mix their images."""
    monkeypatch.setattr(frozen, "SHARD_ROWS", 8)
    settings = LibrarySettings.model_validate(
        {"kind": "timm", "name": "test_resnet", "pixels": 32, "freeze": True, "trunk_precision": "fp32"}
    )
    with seeded(np.random.default_rng(0)):
        backbone = LibraryBackbone(settings).eval()
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (96, 3, 32, 32), dtype=np.uint8))
    stores = []
    for threads in (1, 6):
        monkeypatch.setattr(store, "threads_for", lambda _, threads=threads: threads)
        stores.append(trunk_store(backbone, settings, Pixels(images, 32), tmp_path / str(threads))[0])
    alone, together = (each.rows(np.arange(96)) for each in stores)
    torch.testing.assert_close(together, alone, rtol=0, atol=0)


def test_other_pixels_are_another_store(tmp_path: Path) -> None:
    settings = LibrarySettings.model_validate({"kind": "timm", "name": "test_resnet", "pixels": 32, "freeze": True})
    with seeded(np.random.default_rng(0)):
        backbone = LibraryBackbone(settings).eval()
    images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    before = trunk_store(backbone, settings, Pixels(images, 32), tmp_path)[0].rows(np.arange(8))
    images[5] = 200
    after = trunk_store(backbone, settings, Pixels(images, 32), tmp_path)[0].rows(np.arange(8))
    assert (before != after).any(1).tolist() == [image == 5 for image in range(8)]


def test_a_stop_ends_all_threads_and_keeps_what_is_finished(tmp_path: Path) -> None:
    begun = Event()

    def compute(start: int, stop: int) -> Iterator[np.ndarray]:
        yield np.full((1, 1), start)
        if start:
            begun.set()
            for _ in range(1000):
                time.sleep(0.01)
                yield np.full((1, 1), start)
        yield np.full((stop - start - 1, 1), start)

    def stopping(text: str) -> None:
        assert "33 %" in text
        begun.wait(10)
        raise KeyboardInterrupt

    start = time.monotonic()
    with listening(stopping), pytest.raises(KeyboardInterrupt):
        load_shards(tmp_path, Sharding("rows", 6, 2, compute, threads=3))
    assert time.monotonic() - start < 5
    assert [path.name[:5] for path in tmp_path.iterdir()] == ["00000"]
