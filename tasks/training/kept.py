"""What a model says of many images, kept in files: hours of forward passes go on where they were cut off."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tasks.base import Ids
from tasks.memory import release, room
from tasks.models.weights import digest
from tasks.shards import Question, Rows, Sharding, load_shards, release_shards

ROWS_PER_FILE = 2048
"""So many images' forward passes are lost when a process is killed. Fewer images in all are not kept."""
MOST_FILES = 512
"""Of one question: each stays open. Larger pools have larger files."""
STORE_VERSION = 1
"""Raised when the same weights and images would give other rows."""
NAMED_BY = ("tasks", "strategies")
"""Packages whose functions have a name that means the same tomorrow; a function of a user's file may have changed."""


@dataclass(frozen=True)
class KeptRows:
    """The answers of learners to questions that have a name: embeddings, means over posterior rows, and predicted losses.

    A store belongs to weights, images, ids and the name of the question. Other functions of the outputs, such as closures, have no name
    by which another process would know them, and are computed anew.

    Args:
        folder: of the stores; anything in it may be deleted while no round runs.
        images: a digest of the images and of how they are read.
        member: of the committee, whom other processes are to ask.
    """

    folder: Path
    images: str
    member: int = 0

    def map(
        self, modules: tuple[nn.Module, ...], question: Question, ids: Ids, batch: int, compute: Callable[[Ids], Tensor]
    ) -> Tensor:
        """One row per image; what is missing in the folder is computed.

        Args:
            modules: whose weights decide the rows.
            question: what is asked.
            ids: of the images.
            batch: how many are computed at once; files end where batches do, so that rows are those of one pass.
            compute: gives the rows of some of the ids.
        """
        per_file = math.ceil(max(ROWS_PER_FILE, len(ids) / MOST_FILES) / batch) * batch
        if len(ids) <= per_file:
            return compute(ids)
        device = next(modules[0].parameters()).device

        def rows(start: int, stop: int) -> Iterator[Rows]:
            for first in range(start, stop, batch):
                yield compute(ids[first : min(first + batch, stop)]).cpu().numpy()

        words = (
            f"{STORE_VERSION} {self.images} {question.name} {batch} {per_file} {device.type} {torch.get_num_threads()}"
        )
        key = hashlib.sha256(words.encode())
        key.update(np.ascontiguousarray(ids).data)
        for module in modules:
            key.update(digest(module).encode())
        asked = question._replace(ids=ids, member=self.member)
        sharding = Sharding(question.title, len(ids), per_file, rows, question=asked)
        shards = load_shards(self.folder / key.hexdigest()[:32], sharding)
        return _joined(shards, len(ids)).to(device)


def _joined(shards: tuple[Rows, ...], count: int) -> Tensor:
    """The rows of all files in one tensor, which lies in a file itself if it is large."""
    whole = room(count, torch.from_numpy(np.array(shards[0][:1])))
    for shard, filled in zip(shards, whole.split(len(shards[0])), strict=True):
        release(filled.copy_(torch.from_numpy(np.array(shard))))
        release_shards([shard])
    return whole


def name_of(function: Callable[..., object]) -> str | None:
    """A name that means the same function in every process; None for closures, and for functions of a user's file."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "<")
    return None if "<" in name or module.partition(".")[0] not in NAMED_BY else f"{module}.{name}"
