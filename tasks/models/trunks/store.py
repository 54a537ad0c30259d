"""The store of a frozen trunk, under a key of all that decides its rows."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from threading import local

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.cores import threads_for
from tasks.errors import require
from tasks.images.pixels import Pixels
from tasks.images.store import Store
from tasks.memory import images_at_once
from tasks.models.settings import LibrarySettings, OwnModelSettings
from tasks.models.trunks.frozen import (
    TRUNK_BATCH,
    Backbone,
    FeatureStore,
    RowLayout,
    StoredTrunk,
    Trunk,
    Views,
    feature_store,
)
from tasks.models.weights import digest

STORE_VERSION = 1
"""Raised when the same trunk and images would give other rows."""
COMPARED = 8
"""Images whose rows are compared where a trunk may read more than its file and its weights say."""
ALIKE = 0.05
"""By how much rows of the same trunk may differ on other processors, as root mean square over that of the row. Five networks of timm
in bf16 differed by 1.9 % at most between the instructions AVX-512 and AVX2."""


class FreezableTrunk:
    """A trunk that a protocol may freeze.

    Args:
        trunk: in evaluation mode; it is not trained. None where the protocol does not freeze it.
        settings: the protocol's `task.model` table.
        fingerprints: SHA-256 of its code and weights from outside the repository, by name.
    """

    def __init__(
        self, trunk: Backbone | None, settings: LibrarySettings | OwnModelSettings, fingerprints: Mapping[str, str]
    ) -> None:
        self._initial, self._frozen_by = trunk, settings
        self._layout: RowLayout | None = None
        self.fingerprints = dict(fingerprints)
        """SHA-256 of its code and weights from outside the repository, by name."""

    def freeze(self, pixels: Pixels, cache: Path) -> Store | None:
        """The store of what it gives for all images, from which it is read from now on; None where it is not frozen.

        Args:
            pixels: the images.
            cache: the store lies in its folder `features`.
        """
        if self._initial is None or not self._frozen_by.freeze:
            return None
        store, self._layout = trunk_store(self._initial, self._frozen_by, pixels, cache)
        return store

    def _stored(self) -> StoredTrunk | None:
        """Reads the rows of the store; None where there is none."""
        return None if self._layout is None else StoredTrunk(self._layout)


def trunk_store(
    trunk: Backbone, settings: LibrarySettings | OwnModelSettings, pixels: Pixels, cache: Path
) -> tuple[Store, RowLayout]:
    """The store of what a trunk gives for all images, and the layout of its rows; what is missing in the cache is computed.

    Args:
        trunk: in evaluation mode.
        settings: of the trunk.
        pixels: the images.
        cache: the store lies in its folder `features`.
    """
    trunk = trunk.to(pixels.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    with torch.no_grad():
        layout = RowLayout.of(*trunk(pixels.read(np.array([0]))))
    decisive = (
        f"{STORE_VERSION} {digest(trunk)} {trunk.tap_names} {settings.pixels} {pixels.colors} {pixels.digest()} {len(pixels)} "
        f"{settings.mirrored} {settings.trunk_precision} {pixels.device.type}"
    )
    folder = cache / "features" / f"{settings.name}-{hashlib.sha256(decisive.encode()).hexdigest()[:16]}"
    reads = (pixels.read, lambda ids: pixels.read(ids).flip(3)) if settings.mirrored else (pixels.read,)
    on_cpu, bf16 = pixels.device.type == "cpu", settings.trunk_precision == "bf16"
    batch = TRUNK_BATCH if on_cpu else images_at_once(pixels.device, settings.pixels)
    views = Views(reads, len(pixels), _for_each_thread(trunk), layout, bf16, batch)
    threads = threads_for(math.ceil(views.total / views.shard_rows)) if on_cpu else 1
    if not trunk.known_by_weights:
        _require_rows_of_images(views)
    store = feature_store(folder, views, threads)
    if not trunk.known_by_weights:
        _require_same_rows(store, views, folder)
    store = store.to(pixels.device)
    trunk.cpu()  # a card's memory is for the heads
    return store, layout


def _require_rows_of_images(views: Views) -> None:
    """Raise a DataError where the row of an image depends on the other images of its batch, or on chance."""
    count = min(views.count, COMPARED)
    (one,), (batch,), (again,) = (views.rows(0, size) for size in (1, count, count))
    same = _alike(one, batch[:1]) and _alike(batch, again)
    require(
        same, "what the model gives for an image depends on the others in its batch, or on chance", "set freeze = false"
    )


def _require_same_rows(store: FeatureStore, views: Views, folder: Path) -> None:
    """Raise a DataError where the rows of the first images are not what the trunk gives now."""
    (now,) = views.rows(0, min(views.count, COMPARED))
    advice = f"remove {folder}, and the records and models made with it"
    require(
        _alike(store.rows(np.arange(len(now))).numpy(), now),
        "the model gives other features than when they were stored, though its file did not change",
        advice,
    )


def _alike(rows: NDArray[np.floating], others: NDArray[np.floating]) -> bool:
    """Whether the root mean square of the difference is small in every row."""
    first, second = rows.astype(np.float64), others.astype(np.float64)
    size, difference = (np.sqrt(np.square(each).mean(1)) for each in (second, first - second))
    return bool((difference <= ALIKE * size + np.finfo(np.float16).tiny).all())


def _for_each_thread(trunk: nn.Module) -> Trunk:
    """A copy of a trunk for every thread: taps are collected by hooks, which threads would mix up."""
    copies = local()

    def forward(images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        if not hasattr(copies, "trunk"):
            copies.trunk = copy.deepcopy(trunk)
        return copies.trunk(images)

    return forward
