"""Decoded squares of image files: in memory, or, where there are too many, in files in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from tasks.images.decoding import Box, decode_part, decode_squares
from tasks.images.files import ImageFile, state_of
from tasks.memory import fits
from tasks.shards import Sharding, load_shards, release_shards, taken

LARGEST_IN_MEMORY = 2**30
"""Bytes. More are kept in files: 7,133 squares of 224 pixels, or 349,525 of 32."""
FILE_BYTES = 96 * 2**20
"""Of a file of squares: 668 of 224 pixels. So much work is lost when a process is killed."""
MOST_FILES = 512
"""Of a store: each stays open, and systems allow a process about 1,000. Larger stores have larger files."""
KEY_LETTERS = 16
STORE_VERSION = 1
"""Raised when the same files would be decoded to other pixels."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class StoredSquares:
    """Squares in files, memory-mapped. Batches are gathered in memory and move to the device."""

    shards: tuple[NDArray[np.uint8], ...]
    device: torch.device = CPU
    """Where batches go."""

    @property
    def shape(self) -> torch.Size:
        """As that of a tensor with all squares."""
        return torch.Size((len(self), *self.shards[0].shape[1:]))

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def to(self, device: torch.device) -> Squares:
        """The same squares in the memory of a GPU, where they fit; else in their files, with batches on the device."""
        if not fits(device, sum(shard.nbytes for shard in self.shards)):
            return replace(self, device=device)
        squares = torch.empty(self.shape, dtype=torch.uint8, device=device)
        start = 0
        for shard in self.shards:
            squares[start : start + len(shard)] = torch.from_numpy(np.array(shard)).to(device)
            start += len(shard)
            release_shards([shard])
        return squares

    def __getitem__(self, ids: NDArray[np.int64]) -> UInt8[Tensor, "n 3 s s"]:
        """The squares of some images, on the device."""
        rows = taken(self.shards, np.asarray(ids))
        release_shards(self.shards[number] for number in np.unique(np.asarray(ids) // len(self.shards[0])))
        return torch.from_numpy(rows).to(self.device, non_blocking=True)


Squares = UInt8[Tensor, "n 3 s s"] | StoredSquares


def parts(squares: Squares) -> Iterator[UInt8[np.ndarray, "_ 3 s s"]]:
    """All squares in order, in parts that fit memory."""
    if isinstance(squares, StoredSquares):
        for shard in squares.shards:
            yield shard
            release_shards([shard])
    else:
        yield squares.cpu().contiguous().numpy()


def decoded(
    paths: Sequence[ImageFile], side: int, cache: Path, boxes: Sequence[Box] | None = None, *, keep: bool = False
) -> Squares:
    """The squares that `decode_squares` gives, which also says what the arguments are.

    Up to `LARGEST_IN_MEMORY` they are decoded into memory, unless they are to be kept. More are decoded into files in
    `cache/squares`, once: they are read again as long as the files of the images have the same paths, sizes and times of
    modification. Processes that need the same squares share the work. Nothing there is removed by itself.

    Raises:
        DataError: as `decode_squares`; names files among all images.
        OSError: a file cannot be written.
    """
    if not keep and len(paths) * 3 * side**2 <= LARGEST_IN_MEMORY:
        return decode_squares(paths, side, boxes)
    per_file = max(FILE_BYTES // (3 * side**2), ceil(len(paths) / MOST_FILES), 1)

    def compute(start: int, stop: int) -> Iterator[UInt8[np.ndarray, "_ 3 s s"]]:
        yield decode_part(paths, range(start, stop), side, boxes)

    sharding = Sharding("decoded images", len(paths), per_file, compute)
    return StoredSquares(load_shards(cache / "squares" / _key(paths, side, boxes, per_file), sharding))


def _key(paths: Sequence[ImageFile], side: int, boxes: Sequence[Box] | None, per_file: int) -> str:
    """The name of a store: a digest of all that decides its content, as far as it is known without reading the images."""
    digest = hashlib.sha256(f"{STORE_VERSION} {side} {per_file} {boxes is not None}".encode())
    for path, box in zip(paths, boxes or [None] * len(paths), strict=True):
        digest.update(f"\0{state_of(path)}\0".encode())
        if box is not None:
            digest.update(np.asarray(box, "<f8").tobytes())
    return f"{side}-{digest.hexdigest()[:KEY_LETTERS]}"
