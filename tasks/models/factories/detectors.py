"""The models of detection protocols: SSDs of mmdet, a small one, and SSD's head on trunks of libraries, frozen or not."""

from __future__ import annotations

from pathlib import Path

from tasks.images.pixels import Colors, Pixels
from tasks.images.store import Store
from tasks.models.library.ssd import LibrarySsd
from tasks.models.library.trunk import MapTrunk
from tasks.models.openmmlab.dense import DenseDetector, build_dense
from tasks.models.openmmlab.detector_config import input_colors, model_config
from tasks.models.openmmlab.detector_weights import fingerprint, weights_file
from tasks.models.settings import DetectorSettings, FullSsdSettings, LibraryDetectorSettings, SmallSsdSettings
from tasks.models.ssd import Ssd, build_ssd

Detector = Ssd | LibrarySsd | DenseDetector


class DetectorFactory:
    """Builds the detectors of one protocol.

    Args:
        settings: the protocol's `task.model` table.
        classes: how many.

    Raises:
        DataError: the model does not exist, its weights do not fit, or its config is no detector that fits here.
    """

    def __init__(self, settings: DetectorSettings, classes: int) -> None:
        self._settings, self._classes = settings, classes
        self._trunk: MapTrunk | None = None
        self.fingerprints: dict[str, str] = {}
        """SHA-256 of weights from outside the repository, by name."""
        if isinstance(settings, LibraryDetectorSettings):
            self._trunk = MapTrunk(settings)
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
        if isinstance(settings, LibraryDetectorSettings):
            trunk = self._trunk.untrained() if self._trunk else None
            return LibrarySsd(trunk, self._trunk.shapes, settings, self._classes) if self._trunk and trunk else None
        return self.build() if settings.kind == "mmdet" and settings.weights != "none" else None

    def build(self, *, pretrained: bool = True) -> Detector:
        """A new model: random weights are drawn from torch's global generator, others are read from their file.

        Args:
            pretrained: whether to load weights that torchvision may have to download.
        """
        settings = self._settings
        if not isinstance(settings, LibraryDetectorSettings):
            return self._of_mmdet(settings, pretrained=pretrained)
        if self._trunk is None:
            raise TypeError
        return LibrarySsd(self._trunk.build(), self._trunk.shapes, settings, self._classes)

    def _of_mmdet(self, settings: FullSsdSettings | SmallSsdSettings, *, pretrained: bool) -> Ssd | DenseDetector:
        if settings.kind == "resnet18":
            return build_ssd(settings, self._classes)
        if not pretrained:
            settings = settings.model_copy(update={"imagenet": False, "weights": "none"})
        return build_ssd(settings, self._classes) if self._is_ssd else build_dense(settings, self._classes)
