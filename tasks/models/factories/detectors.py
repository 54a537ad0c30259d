"""The models of detection protocols: SSDs of mmdet, a small one, and SSD's head on trunks of libraries and of a user."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tasks.images.pixels import Colors, Pixels
from tasks.images.store import Store
from tasks.models.openmmlab.dense import DenseDetector, build_dense
from tasks.models.openmmlab.detector_config import input_colors, model_config
from tasks.models.openmmlab.detector_weights import fingerprint, weights_file
from tasks.models.outside import own_model
from tasks.models.own_checks import checked_trunk
from tasks.models.settings import (
    DetectorSettings,
    FullSsdSettings,
    LibraryDetectorSettings,
    SmallSsdSettings,
    TrunkDetectorSettings,
)
from tasks.models.ssd import Ssd, build_ssd
from tasks.models.trunks.library import LibraryBackbone
from tasks.models.trunks.maps import MapTrunk
from tasks.models.trunks.own import OwnBackbone
from tasks.models.trunks.ssd import TrunkSsd

Detector = Ssd | TrunkSsd | DenseDetector


class DetectorFactory:
    """Builds the detectors of one protocol.

    Args:
        settings: the protocol's `task.model` table.
        classes: how many.

    Raises:
        DataError: the model does not exist, its weights do not fit, or its config is no detector that fits here.
        ModelError: the file of a user's own model was not loaded.
    """

    def __init__(self, settings: DetectorSettings, classes: int) -> None:
        self._settings, self._classes = settings, classes
        self._trunk: MapTrunk | None = None
        self.fingerprints: dict[str, str] = {}
        """SHA-256 of weights and code from outside the repository, by name."""
        if isinstance(settings, TrunkDetectorSettings):
            self._trunk = _trunk(settings, classes)
            self.colors: Colors = self._trunk.colors
            """The normalization that the weights expect."""
            self.fingerprints = self._trunk.fingerprints
        else:
            self.colors = input_colors(settings)
            if settings.kind == "mmdet":
                self._is_ssd = model_config(settings).bbox_head.type == "SSDHead"
                if file := weights_file(settings):
                    self.fingerprints["weights"] = fingerprint(file)

    def freeze(self, pixels: Pixels, cache: Path) -> Store | None:
        """The store of what a frozen trunk gives for all images; None where none is frozen.

        Args:
            pixels: the images.
            cache: the store lies in its folder `features`.
        """
        return self._trunk.freeze(pixels, cache) if self._trunk else None

    def pretrained(self) -> Detector | None:
        """A detector whose embedded tap says something before it is trained; None where all its weights are random.

        Of an SSD that starts from ImageNet weights this tap, fc7, is random.
        """
        settings = self._settings
        if isinstance(settings, TrunkDetectorSettings):
            trunk = self._trunk.untrained() if self._trunk else None
            return TrunkSsd(trunk, self._trunk.shapes, settings, self._classes) if self._trunk and trunk else None
        return self.build() if settings.kind == "mmdet" and settings.weights != "none" else None

    def build(self, *, pretrained: bool = True) -> Detector:
        """A new model: random weights are drawn from torch's global generator, others are read from their file.

        Args:
            pretrained: whether to load weights that torchvision may have to download.
        """
        settings = self._settings
        if not isinstance(settings, TrunkDetectorSettings):
            return self._of_mmdet(settings, pretrained=pretrained)
        if self._trunk is None:
            raise TypeError
        return TrunkSsd(self._trunk.build(), self._trunk.shapes, settings, self._classes)

    def _of_mmdet(self, settings: FullSsdSettings | SmallSsdSettings, *, pretrained: bool) -> Ssd | DenseDetector:
        if settings.kind == "resnet18":
            return build_ssd(settings, self._classes)
        if not pretrained:
            settings = settings.model_copy(update={"imagenet": False, "weights": "none"})
        return build_ssd(settings, self._classes) if self._is_ssd else build_dense(settings, self._classes)


def _trunk(settings: TrunkDetectorSettings, classes: int) -> MapTrunk:
    """The trunk of a library or of a user, under SSD's head."""
    if isinstance(settings, LibraryDetectorSettings):
        return MapTrunk(settings, partial(LibraryBackbone, settings))
    file, _ = own_model(settings.name)
    weights = checked_trunk(settings, file.build, classes)
    trunk = MapTrunk(settings, partial(OwnBackbone, settings, classes))
    trunk.fingerprints |= weights
    return trunk
