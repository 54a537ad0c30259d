"""A user's own model: a whole network, or a trunk under SSD's head. What is before the head is trained or frozen."""

from __future__ import annotations

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from tasks.base import Features, TapModel
from tasks.images.pixels import Colors
from tasks.models.outside import own_model
from tasks.models.own_checks import Shape, checked_network
from tasks.models.settings import OwnModelSettings
from tasks.models.trunks.frozen import Backbone, StoredTrunk, initial
from tasks.models.trunks.store import FreezableTrunk


class OwnBackbone(Backbone):
    """A user's model without its head, with the user's weights or with random ones. A frozen one is taken to have weights.

    Args:
        settings: the protocol's `task.model` table.
        outputs: how many numbers the model predicts.

    Raises:
        ModelError: its file was not loaded.
    """

    known_by_weights = False  # its code may read other files

    def __init__(self, settings: OwnModelSettings, outputs: int) -> None:
        super().__init__()
        file, self._code = own_model(settings.name)
        self.model = file.build(outputs)
        self.colors, self.pretrained = Colors(), settings.freeze
        self.tap_names = (f"those of the file {self._code}",)

    def fingerprints(self) -> dict[str, str]:
        """That of the file."""
        return {"model": self._code}

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[tuple[Tensor, ...], Features]:
        """The taps, and what the head reads."""
        return self.model.trunk(images)


class HeadOnRows(TapModel):
    """The head of a model, on the rows that its frozen trunk gave.

    Args:
        backbone: reads the rows.
        head: reads the features.
    """

    def __init__(self, backbone: StoredTrunk, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def trunk(self, images: Float[Tensor, "n d"]) -> tuple[tuple[Tensor, ...], Features]:
        """The trunk's taps, as maps of one cell, and its features."""
        return self.backbone(images)


class OwnNetwork(FreezableTrunk):
    """The network that a protocol names in a user's file, with its own head.

    Args:
        settings: the protocol's `task.model` table.
        outputs: how many numbers it predicts: the number of classes or of joints.
        shape: of its output for one image.

    Raises:
        DataError: it does not fit; see `checked_network`.
        ModelError: its file was not loaded.
    """

    def __init__(self, settings: OwnModelSettings, outputs: int, shape: Shape) -> None:
        self._outputs = outputs
        self._file, code = own_model(settings.name)
        self.shape, weights = checked_network(settings, self._file.build, outputs, shape)
        """Of its output for one image."""
        trunk = initial(partial(OwnBackbone, settings, outputs)) if settings.freeze else None
        super().__init__(trunk, settings, {"model": code} | weights)

    def build(self) -> TapModel:
        """A new network; of a frozen one its head, on the rows of the store."""
        model = self._file.build(self._outputs)
        rows = self._stored()
        return HeadOnRows(rows, model.head) if rows else model

    def pretrained(self) -> TapModel | None:
        """A network with the weights of its frozen trunk, to be read only; None where the trunk is trained."""
        return self.build() if self._stored() else None
