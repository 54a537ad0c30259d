"""The models of pose protocols: stacked hourglasses, deconvolutions on classifiers of libraries, and models of mmpose."""

from __future__ import annotations

from pathlib import Path

from tasks.base import TapModel
from tasks.errors import DataError
from tasks.images.pixels import Colors, Pixels
from tasks.models.deconvolutions import DeconvolutionModel, MapBackbone, initial_map_backbone
from tasks.models.frozen import FeatureStore, RowLayout, StoredTrunk
from tasks.models.hourglass import STRIDE, StackedHourglass
from tasks.models.settings import DeconvolutionSettings, HourglassSettings, PoseModelSettings
from tasks.models.stores import stored_outputs
from tasks.models.weights import digest


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
        self.colors: Colors | None = None
        """The normalization that the weights expect; None where the data decides."""
        self.fingerprints: dict[str, str] = {}
        """SHA-256 of weights from outside the repository, by name."""
        self.side = settings.pixels // STRIDE
        """Height and width of the heatmaps, in cells."""
        if isinstance(settings, DeconvolutionSettings):
            self._backbone = initial_map_backbone(settings)
            self.colors = self._backbone.colors
            self.side = DeconvolutionModel(self._backbone, self._backbone.shapes, settings, joints).side
            if settings.weights != "none":
                self.fingerprints["weights"] = digest(self._backbone)

    def freeze(self, pixels: Pixels, cache: Path) -> FeatureStore:
        """The store of what the frozen trunk gives for all images; what is missing in the cache is computed.

        Args:
            pixels: the images.
            cache: the store lies in its folder `features`.
        """
        settings = self._settings
        if not isinstance(settings, DeconvolutionSettings):
            msg = "only a classifier of timm or torchvision can be frozen"
            raise DataError(msg)
        described = f"{pixels.digest()} {self._backbone.map_names}"
        store, self._layout = stored_outputs(self._backbone, settings, pixels, described, cache)
        return store

    def build(self) -> TapModel:
        """A new model: random weights are drawn from torch's global generator, others are read from their file."""
        settings = self._settings
        if isinstance(settings, HourglassSettings):
            return StackedHourglass(settings, self._joints)
        if isinstance(settings, DeconvolutionSettings):
            trunk = StoredTrunk(self._layout) if self._layout else MapBackbone(settings)
            return DeconvolutionModel(trunk, self._backbone.shapes, settings, self._joints)
        raise NotImplementedError
