"""The models of segmentation protocols: small encoder-decoders on ResNet-18 and on trunks of libraries, and a user's own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tasks.base import Features, TapModel
from tasks.images.pixels import Colors, Pixels
from tasks.images.store import Store
from tasks.models.neck import MapNeck, Shapes
from tasks.models.resnet import ResNet18Stages
from tasks.models.settings import LibrarySegmenterSettings, OwnModelSettings, ResNetSegmenterSettings, SegmenterSettings
from tasks.models.trunks.deconvolutions import LastMapModel
from tasks.models.trunks.library import LibraryBackbone
from tasks.models.trunks.maps import MapTrunk
from tasks.models.trunks.own import OwnNetwork


class StageMaps(nn.Module):
    """ResNet-18 without a classifier: its stages are the taps, and the last of them the maps that a decoder reads."""

    def __init__(self, settings: ResNetSegmenterSettings) -> None:
        super().__init__()
        self.stages = ResNet18Stages(settings.width, settings.stem)
        self._levels = settings.levels

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[tuple[Tensor, ...], Features]:
        """All stages, and the last of them."""
        taps = self.stages(images)
        return taps, taps[-self._levels :]


class EncoderDecoder(TapModel):
    """Adds the maps of a trunk from coarse to fine and predicts the logits of every cell of the finest one.

    After Kirillov et al. 2019 (panoptic feature pyramid networks), with one 3x3 convolution after the sum instead of some
    on each level. Its taps are the trunk's; its feature is the decoder's map.

    Args:
        backbone: gives taps and maps, from fine to coarse; of a frozen trunk it reads them from rows of the store.
        shapes: of these maps.
        channels: of the decoder's maps.
        classes: how many.
    """

    head: nn.Conv2d

    def __init__(self, backbone: nn.Module, shapes: Shapes, channels: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = MapNeck(shapes, channels, 0)
        self.smoothing = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.head = nn.Conv2d(channels, classes, 1)

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The trunk's taps, and the decoder's finest map."""
        taps, maps = self.backbone(images)
        return taps, (self.smoothing(self.neck(maps)[0]),)


class SegmenterFactory:
    """Builds the models of one segmentation protocol.

    Args:
        settings: the protocol's `task.model` table.
        classes: how many.

    Raises:
        DataError: the model does not exist or gives no maps, or its weights do not fit.
        ModelError: the file of a user's own model was not loaded.
    """

    def __init__(self, settings: SegmenterSettings, classes: int) -> None:
        self._settings, self._classes = settings, classes
        self._trunk: MapTrunk | None = None
        self._own: OwnNetwork | None = None
        self.colors: Colors | None = None
        """The normalization that the weights expect; None where there are none."""
        self.fingerprints: dict[str, str] = {}
        """SHA-256 of weights and code from outside the repository, by name."""
        if isinstance(settings, LibrarySegmenterSettings):
            self._trunk = MapTrunk(settings, partial(LibraryBackbone, settings))
            self.colors, self.fingerprints = self._trunk.colors, self._trunk.fingerprints
            self._shapes = self._trunk.shapes
        elif isinstance(settings, OwnModelSettings):
            self._own = OwnNetwork(settings, classes, (classes, "h", "h"))
            self.fingerprints, self._shapes = self._own.fingerprints, (self._own.shape,)
        else:
            self._shapes = _shapes(settings)
        self.side = self._shapes[0][-1]
        """Height and width of the prediction, in cells."""

    def freeze(self, pixels: Pixels, cache: Path) -> Store | None:
        """The store of what a frozen trunk gives for all images; None where none is frozen.

        Args:
            pixels: the images.
            cache: the store lies in its folder `features`.
        """
        frozen = self._own or self._trunk
        return frozen.freeze(pixels, cache) if frozen else None

    def pretrained(self) -> TapModel | None:
        """A model whose last tap is that of its trunk; None where no trunk has weights of its own."""
        if self._own is not None:
            return self._own.pretrained()
        trunk = self._trunk.untrained() if self._trunk else None
        return LastMapModel(trunk, self._shapes, self._classes) if trunk else None

    def build(self) -> TapModel:
        """A new model: random weights are drawn from torch's global generator, others are read from their file."""
        settings = self._settings
        if isinstance(settings, OwnModelSettings):
            if self._own is None:
                raise TypeError
            return self._own.build()
        if isinstance(settings, ResNetSegmenterSettings):
            backbone = StageMaps(settings)
        else:
            if self._trunk is None:
                raise TypeError
            backbone = self._trunk.build()
        return EncoderDecoder(backbone, self._shapes, settings.channels, self._classes)


@torch.no_grad()
def _shapes(settings: ResNetSegmenterSettings) -> Shapes:
    """Of the maps that the decoder reads of one image; torch's global generator is left as it was."""
    with torch.random.fork_rng():
        _, maps = StageMaps(settings).eval()(torch.zeros(1, 3, settings.pixels, settings.pixels))
    return tuple(tuple(each.shape[1:]) for each in maps)
