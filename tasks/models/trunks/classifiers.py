"""Classifiers on a library's trunk, which is trained or frozen."""

from __future__ import annotations

from torch import Tensor, nn

from tasks.base import Features, TapModel
from tasks.models.settings import LibrarySettings
from tasks.models.trunks.library import LibraryBackbone, initial_backbone
from tasks.models.trunks.store import FreezableTrunk


class BackboneClassifier(TapModel):
    """A trunk, a hidden layer where one is asked for, and a linear classifier.

    Args:
        backbone: gives taps, and one vector per input as the only feature.
        size: of that vector.
        hidden: size of the hidden layer (with ReLU); 0 for none.
        classes: how many.
    """

    def __init__(self, backbone: nn.Module, size: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = nn.Sequential(nn.Linear(size, hidden), nn.ReLU()) if hidden else nn.Identity()
        self.head = nn.Linear(hidden or size, classes)

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The trunk's taps, and its vector or the hidden layer's."""
        taps, (embedding,) = self.backbone(images)
        return taps, (self.neck(embedding),)


class LibraryClassifier(FreezableTrunk):
    """The classifier of a library that a protocol names.

    Args:
        settings: the protocol's `task.model` table.
        classes: how many.

    Raises:
        DataError: the model does not exist, or its weights do not fit.
    """

    def __init__(self, settings: LibrarySettings, classes: int) -> None:
        backbone = initial_backbone(settings)
        super().__init__(backbone, settings, backbone.fingerprints())
        self._backbone, self._settings, self._classes = backbone, settings, classes
        self.colors = backbone.colors
        """The normalization that the weights expect."""

    def build(self) -> TapModel:
        """A new classifier; of a frozen trunk the layers after it, on the rows of the store."""
        trunk = self._stored() or LibraryBackbone(self._settings)
        return BackboneClassifier(trunk, self._backbone.size, self._settings.hidden, self._classes)

    def pretrained(self) -> TapModel | None:
        """A classifier whose features are its trunk's vectors, to be read only; None where no weights are given."""
        if not self._backbone.pretrained:
            return None
        return BackboneClassifier(self._stored() or self._backbone, self._backbone.size, 0, self._classes)
