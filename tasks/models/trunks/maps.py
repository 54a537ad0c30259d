"""A trunk under a head that reads maps, trained whole or frozen: what detection, pose and segmentation share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tasks.base import Features
from tasks.errors import require
from tasks.models.settings import LibraryPoseSettings, LibrarySegmenterSettings, TrunkDetectorSettings
from tasks.models.trunks.frozen import Backbone, initial
from tasks.models.trunks.store import FreezableTrunk

MapSettings: TypeAlias = TrunkDetectorSettings | LibraryPoseSettings | LibrarySegmenterSettings


class LastTaps(Backbone):
    """A trunk whose features are the maps of its last taps, instead of its own.

    Args:
        backbone: the trunk.
        count: how many of its taps.
        pixels: side of its images.

    Raises:
        DataError: it has fewer taps.
    """

    def __init__(self, backbone: Backbone, count: int, pixels: int) -> None:
        super().__init__()
        self.backbone, self._count = backbone, count
        self.colors, self.pretrained = backbone.colors, backbone.pretrained
        self.known_by_weights = backbone.known_by_weights
        self.tap_names = (*backbone.tap_names, f"the last {count} are features")
        training = backbone.training
        with torch.no_grad():
            taps, maps = self.eval()(
                torch.zeros(1, 3, pixels, pixels)
            )  # in training mode it would move batch statistics
        self.train(training)
        require(count <= len(taps), f"{count} levels of a trunk with {len(taps)} taps; lower levels or name more taps")
        self.shapes = tuple(tuple(each.shape[1:]) for each in maps)
        """Of the features of one image."""

    def fingerprints(self) -> dict[str, str]:
        """Those of the trunk."""
        return self.backbone.fingerprints()

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[tuple[Tensor, ...], Features]:
        """All taps, and the last of them."""
        taps, _ = self.backbone(images)
        return taps, taps[-self._count :]


class MapTrunk(FreezableTrunk):
    """The trunk that a protocol names.

    Args:
        settings: the protocol's `task.model` table.
        build: makes a new one.

    Raises:
        DataError: the model does not exist or gives no maps, or its weights do not fit.
    """

    def __init__(self, settings: MapSettings, build: Callable[[], Backbone]) -> None:
        self._settings, self._build = settings, build
        self._trunk = trunk = LastTaps(initial(build), settings.levels, settings.pixels).eval()
        super().__init__(trunk, settings, trunk.fingerprints())
        self.colors = trunk.colors
        """The normalization that the weights expect."""
        self.shapes = trunk.shapes
        """Of the maps."""

    def build(self) -> nn.Module:
        """A new trunk for one model; of a frozen one what reads its rows."""
        return self._stored() or LastTaps(self._build(), self._settings.levels, self._settings.pixels)

    def untrained(self) -> nn.Module | None:
        """The trunk with the protocol's weights, to be read only; None where it has random ones."""
        if not self._trunk.pretrained:
            return None
        return self._stored() or self._trunk
