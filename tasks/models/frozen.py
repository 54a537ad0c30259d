"""Frozen trunks: what they give for every image is computed once, kept in files, and read as the input of a small model."""

from __future__ import annotations

import hashlib
import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import Timeout
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.errors import DataError
from tasks.locks import locked
from tasks.progress import report

SHARD_ROWS = 2048
SHARD_BYTES = 96 * 2**20
"""The largest number of rows in a file, and its size where rows are long."""
TRUNK_BATCH = 64
DIGEST_LETTERS = 32
LOCK_SECONDS = 0.5
"""How long a process waits for a file that another one makes before it looks for more to do."""

Float16Rows = NDArray[np.float16]
Trunk = Callable[[Tensor], tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]
"""Gives the taps and the features of normalized images."""


@dataclass(frozen=True)
class RowLayout:
    """How taps and features lie in one row of numbers: features first, then of every tap its mean over the map."""

    features: tuple[tuple[int, ...], ...]
    """Their shapes, without the images' dimension."""
    taps: tuple[int, ...]
    """The taps' numbers of channels."""

    @classmethod
    def of(cls, taps: Sequence[Tensor], features: Sequence[Tensor]) -> RowLayout:
        """The layout for outputs of these shapes."""
        return cls(tuple(tuple(feature.shape[1:]) for feature in features), tuple(tap.shape[1] for tap in taps))

    @property
    def sizes(self) -> list[int]:
        """How many numbers each part takes."""
        return [*(math.prod(shape) for shape in self.features), *self.taps]

    def pack(self, taps: Sequence[Tensor], features: Sequence[Tensor]) -> Float[Tensor, "n d"]:
        """One row per image."""
        return torch.cat([*(each.flatten(1) for each in features), *(tap.mean((2, 3)) for tap in taps)], 1)

    def unpack(self, rows: Float[Tensor, "n d"]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The taps, as maps of one cell, and the features."""
        parts = rows.split(self.sizes, 1)
        count = len(self.features)
        features = tuple(part.unflatten(1, shape) for part, shape in zip(parts, self.features, strict=False))
        return tuple(part[:, :, None, None] for part in parts[count:]), features


class StoredTrunk(nn.Module):
    """Stands in for a frozen trunk: gives taps and features from rows of its store."""

    def __init__(self, layout: RowLayout) -> None:
        super().__init__()
        self._layout = layout

    def forward(self, rows: Float[Tensor, "n d"]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The taps (n, c, 1, 1) and the features."""
        return self._layout.unpack(rows)


@dataclass(frozen=True)
class Views:
    """What a frozen trunk sees, and how.

    Args:
        read: one function per view (the images, the mirrored images); gives normalized images by their ids.
        count: the number of images.
        trunk: in evaluation mode.
        layout: of the rows.
        bf16: whether the trunk runs in bf16.
    """

    read: tuple[Callable[[NDArray[np.int64]], Tensor], ...]
    count: int
    trunk: Trunk
    layout: RowLayout
    bf16: bool

    @property
    def shard_rows(self) -> int:
        """The number of rows in each file but the last."""
        return min(SHARD_ROWS, max(1, SHARD_BYTES // (2 * sum(self.layout.sizes))))

    @property
    def total(self) -> int:
        """The number of rows: those of the first view, then those of the next."""
        return len(self.read) * self.count

    def rows(self, start: int, stop: int) -> Float16Rows:
        """Compute some rows.

        Raises:
            DataError: a number is not finite, or too large for fp16; names the first such image.
        """
        parts = []
        for first in range(start, stop, TRUNK_BATCH):
            places = np.arange(first, min(first + TRUNK_BATCH, stop))
            views = places // self.count
            images = torch.cat([self.read[view](places[views == view] % self.count) for view in np.unique(views)])
            with torch.inference_mode(), torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
                packed = self.layout.pack(*self.trunk(images))
            parts.append(packed.half().cpu().numpy())
        rows = np.concatenate(parts)
        bad = ~np.isfinite(rows).all(1)
        if bad.any():
            image = (start + int(bad.argmax())) % self.count
            msg = f"the frozen trunk gives numbers for image {image} that are not finite in fp16; use other weights"
            raise DataError(msg)
        return rows


@dataclass(frozen=True)
class FeatureStore:
    """The rows of all images, memory-mapped from files of equally many rows."""

    shards: tuple[Float16Rows, ...]
    count: int
    """The number of images."""

    def rows(self, ids: NDArray[np.int64], view: int | NDArray[np.int64] = 0) -> Float[Tensor, "n d"]:
        """The rows of some images, in fp32.

        Args:
            ids: of the images.
            view: which view to take, of all or of each image.
        """
        places = np.asarray(ids) + np.asarray(view) * self.count
        per_shard, width = self.shards[0].shape
        rows = np.empty((len(places), width), np.float16)
        for row, place in enumerate(places.tolist()):  # row by row: a batch has few rows in each of many files
            rows[row] = self.shards[place // per_shard][place % per_shard]
        return torch.from_numpy(rows).float()


def feature_store(folder: Path, views: Views) -> FeatureStore:
    """The store in a folder; what is missing there is computed.

    A file's name holds the SHA-256 of its content: a file that is cut off or changed is computed again. Processes that
    need the same store share the work, file by file. A process that is killed loses the work on one file.

    Args:
        folder: of this store alone; its name must change with whatever changes the rows.
        views: what to compute.

    Raises:
        DataError: a row is not finite.
        OSError: a file cannot be written, for instance because the disk is full; nothing half-written stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = math.ceil(views.total / views.shard_rows)
    missing = list(range(count))
    shards: dict[int, Float16Rows] = {}
    begun, computed = time.monotonic(), 0
    while missing:
        for number in list(missing):
            shard = _intact(folder, number)
            if shard is None and _computed(folder, number, views, wait=number == missing[-1]):
                shard = _intact(folder, number)
                computed += 0 if shard is None else len(shard)
                speed = computed / max(time.monotonic() - begun, 1e-9)
                report(f"frozen features: {100 * (len(shards) + 1) // count} %, {speed:.0f} images/s")
            if shard is not None:
                shards[number] = shard
                missing.remove(number)
    return FeatureStore(tuple(shards[number] for number in sorted(shards)), views.count)


def _intact(folder: Path, number: int) -> Float16Rows | None:
    """A file's rows, memory-mapped; None where there is no such file, or its content is not what its name says."""
    for path in folder.glob(f"{number:05}-*.npy"):
        if hashlib.sha256(path.read_bytes()).hexdigest()[:DIGEST_LETTERS] == path.stem.partition("-")[2]:
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))  # a memmap itself is slow to index
        report(f"{path.name} of the frozen features is damaged; it is computed again")
        path.unlink(missing_ok=True)
    return None


def _computed(folder: Path, number: int, views: Views, *, wait: bool) -> bool:
    """Compute the rows of a file and write them; False where another process does, after waiting for it a little."""
    try:
        with locked(folder / f"{number:05}", LOCK_SECONDS if wait else 0.0):
            if not any(folder.glob(f"{number:05}-*.npy")):
                start = number * views.shard_rows
                _write(folder, number, views.rows(start, min(start + views.shard_rows, views.total)))
            return True
    except Timeout:
        return False


def _write(folder: Path, number: int, rows: Float16Rows) -> None:
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    digest = hashlib.sha256(content.getbuffer()).hexdigest()[:DIGEST_LETTERS]
    beside = folder / f"{number:05}.part"
    try:
        beside.write_bytes(content.getbuffer())
        beside.replace(folder / f"{number:05}-{digest}.npy")
    finally:
        beside.unlink(missing_ok=True)
