"""The store of a classifier of a library that is frozen: under which key it lies, and what it holds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tasks.images.pixels import Colors, Pixels
from tasks.models.frozen import FeatureStore, RowLayout, Views, feature_store
from tasks.models.settings import TrunkSettings
from tasks.models.weights import digest

STORE_VERSION = 1
"""Raised when the same trunk and images would give other rows."""


class LibraryTrunk(Protocol):
    """A network of a library that gives taps and features, such as `LibraryBackbone`."""

    tap_names: tuple[str, ...]
    colors: Colors

    def __call__(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The taps and the features."""
        ...


def stored_outputs(
    trunk: LibraryTrunk, settings: TrunkSettings, pixels: Pixels, data: str, cache: Path
) -> tuple[FeatureStore, RowLayout]:
    """What a frozen trunk gives for all images, and how it lies in a row; what is missing in the cache is computed.

    Args:
        trunk: a module in evaluation mode; it is moved to the images' device.
        settings: name, pixels, views and precision.
        pixels: the images.
        data: a text that changes whenever the images do, or which features are read.
        cache: the store lies in its folder `features`.
    """
    module: nn.Module = trunk.to(pixels.device).to(memory_format=torch.channels_last)  # pyright: ignore
    with torch.no_grad():
        layout = RowLayout.of(*trunk(pixels.read(np.array([0]))))
    decisive = (
        f"{STORE_VERSION} {digest(module)} {trunk.tap_names} {settings.pixels} {trunk.colors} {data} {len(pixels)} "
        f"{settings.mirrored} {settings.trunk_precision} {pixels.device.type}"
    )
    folder = cache / "features" / f"{settings.name}-{hashlib.sha256(decisive.encode()).hexdigest()[:16]}"
    reads = (pixels.read, lambda ids: pixels.read(ids).flip(3)) if settings.mirrored else (pixels.read,)
    views = Views(reads, len(pixels), trunk, layout, bf16=settings.trunk_precision == "bf16")
    return feature_store(folder, views), layout
