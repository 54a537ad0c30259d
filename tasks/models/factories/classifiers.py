"""The models of classification protocols: ResNet-18, classifiers of libraries, frozen or not, and a user's own."""

from __future__ import annotations

from pathlib import Path

from tasks.base import TapModel
from tasks.images.pixels import Colors, Pixels
from tasks.images.store import Store
from tasks.models.resnet import Classifier
from tasks.models.settings import ClassifierSettings, OwnModelSettings, ResNetSettings
from tasks.models.trunks.classifiers import LibraryClassifier
from tasks.models.trunks.own import OwnNetwork


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
        self._named: LibraryClassifier | OwnNetwork | None = None
        self.colors: Colors | None = None
        """The normalization that the weights expect; None where the data decides."""
        self.fingerprints: dict[str, str] = {}
        """SHA-256 of weights and code from outside the repository, by name."""
        if isinstance(settings, OwnModelSettings):
            self._named = OwnNetwork(settings, classes, (classes,))
            self.fingerprints = self._named.fingerprints
        elif not isinstance(settings, ResNetSettings):
            self._named = LibraryClassifier(settings, classes)
            self.colors, self.fingerprints = self._named.colors, self._named.fingerprints

    def freeze(self, pixels: Pixels, cache: Path) -> Store | None:
        """The store of what a frozen trunk gives for all images; None where none is frozen.

        Args:
            pixels: the images.
            cache: the store lies in its folder `features`.
        """
        return self._named.freeze(pixels, cache) if self._named else None

    def pretrained(self) -> TapModel | None:
        """A model whose features are its trunk's; None where no weights are given."""
        return self._named.pretrained() if self._named else None

    def build(self) -> TapModel:
        """A new model: random weights are drawn from torch's global generator, others are read from their file."""
        if isinstance(self._settings, ResNetSettings):
            return Classifier(self._settings, self._classes)
        if self._named is None:
            raise TypeError
        return self._named.build()
