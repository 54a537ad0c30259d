"""Frozen trunks: what they give for every image is computed once, kept in files, and read as the input of a small model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float16
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.errors import DataError
from tasks.images.pixels import ArrayIds, Colors, on_device
from tasks.memory import fits
from tasks.shards import Sharding, load_shards, taken

SHARD_ROWS = 2048
SHARD_BYTES = 96 * 2**20
"""The largest number of rows in a file, and its size where rows are long."""
MOST_FILES = 512
"""Each stays open, and systems allow a process about 1,000. Larger stores have larger files."""
TRUNK_BATCH = 64
INITIAL_SEED = 0  # of the random weights of a frozen trunk: all runs read the same store

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


class Backbone(nn.Module):
    """A trunk that is trained or frozen. It gives the taps and the features of normalized images."""

    tap_names: tuple[str, ...]
    """Of the taps, and what else decides what it gives beside its weights."""
    colors: Colors
    """The normalization that it expects."""
    pretrained: bool
    """Whether it has weights of its own before it is trained."""
    known_by_weights: bool = True
    """Whether its names and weights decide all that it gives."""

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of its code and weights from outside the repository, by name; its random weights have none."""
        return {}


B = TypeVar("B", bound=Backbone)


def initial(build: Callable[[], B]) -> B:
    """A new trunk in evaluation mode whose random weights, where it has any, are always the same."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(INITIAL_SEED)
        return build().eval()


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
        batch: how many images it sees at once.
    """

    read: tuple[Callable[[NDArray[np.int64]], Tensor], ...]
    count: int
    trunk: Trunk
    layout: RowLayout
    bf16: bool
    batch: int = TRUNK_BATCH

    @property
    def shard_rows(self) -> int:
        """The number of rows in each file but the last."""
        usual = min(SHARD_ROWS, max(1, SHARD_BYTES // (2 * sum(self.layout.sizes))))
        return max(usual, math.ceil(self.total / MOST_FILES))

    @property
    def total(self) -> int:
        """The number of rows: those of the first view, then those of the next."""
        return len(self.read) * self.count

    def rows(self, start: int, stop: int) -> Iterator[Float16Rows]:
        """Compute some rows, batch by batch.

        Raises:
            DataError: a number is not finite, or too large for fp16; names the first such image.
        """
        for first in range(start, stop, self.batch):
            places = np.arange(first, min(first + self.batch, stop))
            views = places // self.count
            images = torch.cat([self.read[view](places[views == view] % self.count) for view in np.unique(views)])
            with torch.inference_mode(), torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
                packed = self.layout.pack(*self.trunk(images))
            rows = packed.half().cpu().numpy()
            bad = ~np.isfinite(rows).all(1)
            if bad.any():
                image = int(places[bad.argmax()]) % self.count
                msg = f"the frozen trunk gives numbers for image {image} that are not finite in fp16; use other weights"
                raise DataError(msg)
            yield rows


@dataclass(frozen=True)
class ResidentRows:
    """The rows of all images in the memory of a device."""

    stored: Float16[Tensor, "r d"]
    count: int
    """The number of images."""

    @property
    def resident(self) -> bool:
        """True."""
        return True

    def rows(self, ids: ArrayIds, view: int | ArrayIds = 0) -> Float[Tensor, "n d"]:
        """As `FeatureStore.rows`, on the device."""
        device = self.stored.device
        places = on_device(ids, device) + (view if isinstance(view, int) else on_device(view, device)) * self.count
        return self.stored[places].float()


@dataclass(frozen=True)
class FeatureStore:
    """The rows of all images, memory-mapped from files of equally many rows."""

    shards: tuple[Float16Rows, ...]
    count: int
    """The number of images."""

    @property
    def resident(self) -> bool:
        """False: rows are read from files."""
        return False

    def to(self, device: torch.device) -> FeatureStore | ResidentRows:
        """The same rows in the memory of a GPU, where they fit; else this store."""
        if not fits(device, sum(shard.nbytes for shard in self.shards)):
            return self
        return ResidentRows(
            torch.cat([torch.from_numpy(np.array(shard)).to(device) for shard in self.shards]), self.count
        )

    def rows(self, ids: ArrayIds, view: int | ArrayIds = 0) -> Float[Tensor, "n d"]:
        """The rows of some images, in fp32.

        Args:
            ids: of the images.
            view: which view to take, of all or of each image.
        """
        places = np.asarray(ids) + np.asarray(view) * self.count
        return torch.from_numpy(taken(self.shards, places)).float()


def feature_store(folder: Path, views: Views, threads: int = 1) -> FeatureStore:
    """The store in a folder; what is missing there is computed, and shared with other processes: see `load_shards`.

    Args:
        folder: of this store alone; its name must change with whatever changes the rows.
        views: what to compute.
        threads: how many of its files are computed at once.

    Raises:
        DataError: a row is not finite.
        OSError: a file cannot be written.
    """
    sharding = Sharding("frozen features", views.total, views.shard_rows, views.rows, threads)
    return FeatureStore(load_shards(folder, sharding), views.count)
