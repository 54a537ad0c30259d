"""Heatmaps by deconvolutions on the maps of a classifier of a library, trained whole or frozen (Xiao et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.base import Features, TapModel
from tasks.errors import require
from tasks.models.hourglass import StackOutputs
from tasks.models.settings import LibraryPoseSettings

Shapes = tuple[tuple[int, ...], ...]
"""Of maps, without the images' dimension."""


class DeconvolutionModel(TapModel):
    """Maps of a trunk, of which the smallest is enlarged by deconvolutions, and the last 1x1 convolution as the head.

    Differs from Xiao et al. in that maps of a higher resolution are added where the deconvolutions reach it, each after
    a 1x1 convolution (as in Lin et al. 2017), so that less than 256 channels do.

    Args:
        backbone: gives taps and maps; of a frozen trunk it reads them from rows of the store.
        shapes: of these maps.
        settings: channels and number of the deconvolutions.
        joints: how many heatmaps.

    Raises:
        DataError: no deconvolution gives the resolution of a map.
    """

    head: StackOutputs

    def __init__(self, backbone: nn.Module, shapes: Shapes, settings: LibraryPoseSettings, joints: int) -> None:
        super().__init__()
        width, smallest = settings.width, min(shape[1] for shape in shapes)
        sides = [smallest * 2**step for step in range(settings.deconvolutions + 1)]
        for _, side, _ in shapes:
            reached = ", ".join(map(str, sides))
            require(side in sides, f"a map of {side} cells is read, and the deconvolutions have maps of {reached}")
        self.side = sides[-1]
        self._steps = tuple(sides.index(side) for _, side, _ in shapes)
        self.backbone = backbone
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)) for channels, _, _ in shapes
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


class LastMapModel(TapModel):
    """A trunk of which the last map alone is read, for embeddings before anything is trained."""

    head: StackOutputs

    def __init__(self, backbone: nn.Module, shapes: Shapes, joints: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = StackOutputs(1, shapes[-1][0], joints)

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The backbone's taps, and its last map."""
        taps, maps = self.backbone(images)
        return taps, maps[-1:]
