"""The models of classification protocols: ResNet-18, classifiers of libraries, frozen or not, and a user's own."""

from __future__ import annotations

from pathlib import Path

from tasks.base import TapModel
from tasks.errors import DataError
from tasks.images.pixels import Colors, Pixels
from tasks.images.store import Store
from tasks.models.frozen import RowLayout, StoredTrunk
from tasks.models.library.backbone import BackboneClassifier, LibraryBackbone, initial_backbone
from tasks.models.library.store import library_store
from tasks.models.outside import own_model
from tasks.models.own_checks import check_own_model
from tasks.models.resnet import Classifier
from tasks.models.settings import ClassifierSettings, LibrarySettings, OwnModelSettings
from tasks.models.weights import digest


class ClassifierFactory:
    """Builds the classifiers of one protocol.

    Args:
        settings: the protocol's `task.model` table.
        classes: how many.

    Raises:
        DataError: the model does not exist, its weights do not fit, or it does not give one logit per class.
        ModelError: the file of a user's own model was not loaded.
    """

    def __init__(self, settings: ClassifierSettings, classes: int) -> None:
        self._settings, self._classes = settings, classes
        self._layout: RowLayout | None = None
        self.colors: Colors | None = None
        """The normalization that the weights expect; None where the data decides."""
        self.fingerprints: dict[str, str] = {}
        """SHA-256 of weights and code from outside the repository, by name."""
        if isinstance(settings, LibrarySettings):
            self._backbone = initial_backbone(settings)
            self.colors = self._backbone.colors
            if settings.weights != "none":
                self.fingerprints["weights"] = digest(self._backbone)
        elif isinstance(settings, OwnModelSettings):
            model, self.fingerprints["model"] = own_model(settings.name)
            check_own_model(settings.name, model.build, classes, settings.pixels)

    def freeze(self, pixels: Pixels, cache: Path) -> Store:
        """The store of what the frozen trunk gives for all images; what is missing in the cache is computed.

        Args:
            pixels: the images.
            cache: the store lies in its folder `features`.
        """
        settings = self._settings
        if not isinstance(settings, LibrarySettings):
            msg = "only a classifier of timm or torchvision can be frozen"
            raise DataError(msg)
        store, self._layout = library_store(self._backbone, settings, pixels, cache)
        return store

    def pretrained(self) -> TapModel | None:
        """A model whose features are its trunk's vectors; None where no weights are given."""
        settings = self._settings
        if not isinstance(settings, LibrarySettings) or settings.weights == "none":
            return None
        trunk = StoredTrunk(self._layout) if self._layout is not None else self._backbone
        return BackboneClassifier(trunk, self._backbone.size, 0, self._classes)

    def build(self) -> TapModel:
        """A new model: random weights are drawn from torch's global generator, others are read from their file."""
        settings = self._settings
        if isinstance(settings, OwnModelSettings):
            return own_model(settings.name)[0].build(self._classes)
        if not isinstance(settings, LibrarySettings):
            return Classifier(settings, self._classes)
        size = self._backbone.size
        if self._layout is not None:
            return BackboneClassifier(StoredTrunk(self._layout), size, settings.hidden, self._classes)
        return BackboneClassifier(LibraryBackbone(settings), size, settings.hidden, self._classes)
