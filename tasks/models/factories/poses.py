"""The models of pose protocols: stacked hourglasses, deconvolutions on classifiers of libraries, and models of mmpose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.base import TapModel
from tasks.images.pixels import Colors, Pixels
from tasks.models.frozen import FeatureStore, RowLayout, StoredTrunk
from tasks.models.hourglass import STRIDE, StackedHourglass
from tasks.models.library.backbone import LastTaps, LibraryBackbone, initial_backbone
from tasks.models.library.deconvolutions import DeconvolutionModel, LastMapModel
from tasks.models.library.store import library_store
from tasks.models.settings import HourglassSettings, LibraryPoseSettings, MmposeSettings, PoseModelSettings
from tasks.models.weights import digest

if TYPE_CHECKING:
    from tasks.models.openmmlab.topdown_config import TopDownFactory


class PoseFactory:
    """Builds the models of one pose protocol.

    Args:
        settings: the protocol's `task.model` table.
        joints: how many heatmaps.

    Raises:
        DataError: the model does not exist or gives no heatmaps, or its weights do not fit.
    """

    def __init__(self, settings: PoseModelSettings, joints: int) -> None:
        self._settings, self._joints = settings, joints
        self._layout: RowLayout | None = None
        self._trunk: LastTaps | None = None
        self._top_down: TopDownFactory | None = None
        self.colors: Colors | None = None
        """The normalization that the weights expect; None where the data decides."""
        self.fingerprints: dict[str, str] = {}
        """SHA-256 of weights and configs from outside the repository, by name."""
        self.side = settings.pixels // STRIDE
        """Height and width of the heatmaps, in cells."""
        if isinstance(settings, LibraryPoseSettings):
            backbone = initial_backbone(settings)
            self._trunk = LastTaps(backbone, settings.levels, settings.pixels).eval()
            self.colors = backbone.colors
            self.side = DeconvolutionModel(self._trunk, self._trunk.shapes, settings, joints).side
            if settings.weights != "none":
                self.fingerprints["weights"] = digest(backbone)
        if isinstance(settings, MmposeSettings):
            from tasks.models.openmmlab.topdown_config import TopDownFactory  # noqa: PLC0415 - imports all of mmpose

            self._top_down = TopDownFactory(settings, joints)
            self.colors, self.side = self._top_down.colors, self._top_down.side
            self.fingerprints |= self._top_down.fingerprints

    def freeze(self, pixels: Pixels, cache: Path) -> FeatureStore | None:
        """The store of what a frozen trunk gives for all images; None where none is frozen.

        Args:
            pixels: the images.
            cache: the store lies in its folder `features`.
        """
        settings = self._settings
        if self._trunk is None or not isinstance(settings, LibraryPoseSettings) or not settings.freeze:
            return None
        store, self._layout = library_store(self._trunk, settings, pixels, pixels.digest(), cache)
        return store

    def pretrained(self) -> TapModel | None:
        """A model whose features are the last map of its trunk; None where no trunk has weights of its own."""
        if self._trunk is None or "weights" not in self.fingerprints:
            return None
        trunk = self._trunk if self._layout is None else StoredTrunk(self._layout)
        return LastMapModel(trunk, self._trunk.shapes, self._joints)

    def build(self) -> TapModel:
        """A new model: random weights are drawn from torch's global generator, others are read from their file."""
        settings = self._settings
        if isinstance(settings, HourglassSettings):
            return StackedHourglass(settings, self._joints)
        if self._top_down is not None:
            return self._top_down.build()
        if self._trunk is None or not isinstance(settings, LibraryPoseSettings):
            raise TypeError
        if self._layout is not None:
            backbone = StoredTrunk(self._layout)
        else:
            backbone = LastTaps(LibraryBackbone(settings), settings.levels, settings.pixels)
        return DeconvolutionModel(backbone, self._trunk.shapes, settings, self._joints)
