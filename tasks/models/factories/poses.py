"""The models of pose protocols: stacked hourglasses, deconvolutions on trunks of libraries, models of mmpose, and a user's own."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from tasks.base import TapModel
from tasks.images.pixels import Colors, Pixels
from tasks.images.store import Store
from tasks.models.hourglass import STRIDE, StackedHourglass
from tasks.models.settings import (
    HourglassSettings,
    LibraryPoseSettings,
    MmposeSettings,
    OwnModelSettings,
    PoseModelSettings,
)
from tasks.models.trunks.deconvolutions import DeconvolutionModel, LastMapModel
from tasks.models.trunks.library import LibraryBackbone
from tasks.models.trunks.maps import MapTrunk
from tasks.models.trunks.own import OwnNetwork

if TYPE_CHECKING:
    from tasks.models.openmmlab.topdown_config import TopDownFactory


class PoseFactory:
    """Builds the models of one pose protocol.

    Args:
        settings: the protocol's `task.model` table.
        joints: how many heatmaps.

    Raises:
        DataError: the model does not exist or gives no heatmaps, or its weights do not fit.
        ModelError: the file of a user's own model was not loaded.
    """

    def __init__(self, settings: PoseModelSettings, joints: int) -> None:
        self._settings, self._joints = settings, joints
        self._trunk: MapTrunk | None = None
        self._top_down: TopDownFactory | None = None
        self._own: OwnNetwork | None = None
        self.colors: Colors | None = None
        """The normalization that the weights expect; None where the data decides."""
        self.fingerprints: dict[str, str] = {}
        """SHA-256 of weights, configs and code from outside the repository, by name."""
        self.side = settings.pixels // STRIDE
        """Height and width of the heatmaps, in cells."""
        if isinstance(settings, LibraryPoseSettings):
            self._trunk = MapTrunk(settings, partial(LibraryBackbone, settings))
            self.colors, self.fingerprints = self._trunk.colors, self._trunk.fingerprints
            self.side = DeconvolutionModel(nn.Identity(), self._trunk.shapes, settings, joints).side
        if isinstance(settings, MmposeSettings):
            from tasks.models.openmmlab.topdown_config import TopDownFactory  # noqa: PLC0415 - imports all of mmpose

            self._top_down = TopDownFactory(settings, joints)
            self.colors, self.side = self._top_down.colors, self._top_down.side
            self.fingerprints |= self._top_down.fingerprints
        if isinstance(settings, OwnModelSettings):
            self._own = OwnNetwork(settings, joints, ("stacks", joints, "h", "h"))
            self.fingerprints, self.side = self._own.fingerprints, self._own.shape[-1]

    def freeze(self, pixels: Pixels, cache: Path) -> Store | None:
        """The store of what a frozen trunk gives for all images; None where none is frozen.

        Args:
            pixels: the images.
            cache: the store lies in its folder `features`.
        """
        frozen = self._own or self._trunk
        return frozen.freeze(pixels, cache) if frozen else None

    def pretrained(self) -> TapModel | None:
        """A model whose features are the last map of its trunk; None where no trunk has weights of its own."""
        if self._own is not None:
            return self._own.pretrained()
        trunk = self._trunk.untrained() if self._trunk else None
        return LastMapModel(trunk, self._trunk.shapes, self._joints) if self._trunk and trunk else None

    def build(self) -> TapModel:
        """A new model: random weights are drawn from torch's global generator, others are read from their file."""
        settings = self._settings
        if isinstance(settings, HourglassSettings):
            return StackedHourglass(settings, self._joints)
        if self._own is not None:
            return self._own.build()
        if self._top_down is not None:
            return self._top_down.build()
        if self._trunk is None or not isinstance(settings, LibraryPoseSettings):
            raise TypeError
        return DeconvolutionModel(self._trunk.build(), self._trunk.shapes, settings, self._joints)
