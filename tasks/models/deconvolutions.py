"""Heatmaps by deconvolutions on the maps of a classifier of a library, trained whole or frozen (Xiao et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from lossnet.taps import hooked_taps
from tasks.base import Features, TapModel
from tasks.errors import DataError, require
from tasks.models.hourglass import StackOutputs
from tasks.models.library import INITIAL_SEED, library_network, named_parts, on_a_black_image
from tasks.models.settings import DeconvolutionSettings
from tasks.models.tapped import as_map

READ_STAGES = 2
"""How many of the last stages are read where the protocol names none."""


class MapBackbone(nn.Module):
    """A classifier of a library of which maps are read, and not the vector.

    Raises:
        DataError: see `LibraryBackbone`; or a map that is read is no square map.
    """

    def __init__(self, settings: DeconvolutionSettings) -> None:
        super().__init__()
        self.network, stages, self.colors = library_network(settings)
        self.tap_names = named_parts(self.network, settings.taps or stages, settings.name)
        self.map_names = named_parts(self.network, settings.maps or stages[-READ_STAGES:], settings.name)
        taps, maps = on_a_black_image(self, settings)
        known = len(taps) == len(self.tap_names) and len(maps) == len(self.map_names)
        require(known, f"a module of {', '.join(self.tap_names + self.map_names)} does not run in {settings.name}")
        self.shapes = [(each.shape[1], each.shape[2]) for each in maps]
        """Channels and side of the maps."""

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[tuple[Tensor, ...], Features]:
        """The taps and the maps, each (n, c, h, w)."""
        with hooked_taps(self.network, (*self.tap_names, *self.map_names)) as outputs:
            self.network(images)
        maps = tuple(as_map(output) for output in outputs)
        return maps[: len(self.tap_names)], maps[len(self.tap_names) :]


class DeconvolutionModel(TapModel):
    """Maps of a trunk, of which the smallest is enlarged by deconvolutions, and the last 1x1 convolution as the head.

    Differs from Xiao et al. in that maps of a higher resolution are added where the deconvolutions reach it, each after
    a 1x1 convolution (as in Lin et al. 2017), so that less than 256 channels do.

    Args:
        backbone: gives taps and maps.
        shapes: channels and side of each map.
        settings: channels and number of the deconvolutions.
        joints: how many heatmaps.

    Raises:
        DataError: no deconvolution gives the resolution of a map.
    """

    head: StackOutputs

    def __init__(
        self, backbone: nn.Module, shapes: Sequence[tuple[int, int]], settings: DeconvolutionSettings, joints: int
    ) -> None:
        super().__init__()
        width, smallest = settings.width, min(side for _, side in shapes)
        sides = [smallest * 2**step for step in range(settings.deconvolutions + 1)]
        for _, side in shapes:
            reached = ", ".join(map(str, sides))
            require(side in sides, f"a map of {side} cells is read, and the deconvolutions have maps of {reached}")
        self.side = sides[-1]
        self._steps = tuple(sides.index(side) for _, side in shapes)
        self.backbone = backbone
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)) for channels, _ in shapes
        )
        self.deconvolutions = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            for _ in range(settings.deconvolutions)
        )
        self.head = StackOutputs(1, width, joints)

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The backbone's taps, and the map of the last deconvolution."""
        taps, maps = self.backbone(images)
        enlarged = self._added(maps, 0)
        for step, deconvolution in enumerate(self.deconvolutions, start=1):
            enlarged = deconvolution(enlarged)
            if step in self._steps:
                enlarged = enlarged + self._added(maps, step)
        return taps, (enlarged,)

    def _added(self, maps: Features, step: int) -> Tensor:
        """The sum of the maps that are read at one resolution."""
        own = [place for place, reached in enumerate(self._steps) if reached == step]
        return functional.relu(torch.stack([self.laterals[place](maps[place]) for place in own]).sum(0))


def initial_map_backbone(settings: DeconvolutionSettings) -> MapBackbone:
    """A trunk in evaluation mode whose random weights, where it has any, are always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(INITIAL_SEED)
        return MapBackbone(settings).eval()
