"""A trunk of a library under a head that reads maps, trained whole or frozen: what detection, pose and segmentation share."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from torch import nn

from tasks.images.pixels import Pixels
from tasks.images.store import Store
from tasks.models.frozen import RowLayout, StoredTrunk
from tasks.models.library.backbone import LastTaps, LibraryBackbone, initial_backbone
from tasks.models.library.store import library_store
from tasks.models.settings import LibraryDetectorSettings, LibraryPoseSettings, LibrarySegmenterSettings
from tasks.models.weights import digest

MapSettings: TypeAlias = LibraryDetectorSettings | LibraryPoseSettings | LibrarySegmenterSettings


class MapTrunk:
    """The trunk that a protocol names.

    Args:
        settings: the protocol's `task.model` table.

    Raises:
        DataError: the model does not exist or gives no maps, or its weights do not fit.
    """

    def __init__(self, settings: MapSettings) -> None:
        self._settings = settings
        self._layout: RowLayout | None = None
        backbone = initial_backbone(settings)
        self._initial = LastTaps(backbone, settings.levels, settings.pixels).eval()
        self.colors = backbone.colors
        """The normalization that the weights expect."""
        self.shapes = self._initial.shapes
        """Of the maps."""
        self.fingerprints = {} if settings.weights == "none" else {"weights": digest(backbone)}
        """SHA-256 of weights from outside the repository, by name."""

    def freeze(self, pixels: Pixels, cache: Path) -> Store | None:
        """The store of what it gives for all images, from which it is read from now on; None where it is not frozen.

        Args:
            pixels: the images.
            cache: the store lies in its folder `features`.
        """
        if not self._settings.freeze:
            return None
        store, self._layout = library_store(self._initial, self._settings, pixels, cache)
        return store

    def build(self) -> nn.Module:
        """A new trunk for one model; of a frozen one what reads its rows."""
        if self._layout is not None:
            return StoredTrunk(self._layout)
        return LastTaps(LibraryBackbone(self._settings), self._settings.levels, self._settings.pixels)

    def untrained(self) -> nn.Module | None:
        """The trunk with the protocol's weights, to be read only; None where it has random ones."""
        if not self.fingerprints:
            return None
        return self._initial if self._layout is None else StoredTrunk(self._layout)
