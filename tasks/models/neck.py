"""Small trained layers between a trunk, which may be frozen, and a head that reads maps."""

from __future__ import annotations

from torch import nn
from torch.nn import functional

from tasks.base import Features

Shapes = tuple[tuple[int, ...], ...]
"""Of maps, without the images' dimension."""


class MapNeck(nn.Module):
    """Maps of equally many channels, of which the finer ones hold the coarser ones, too.

    Every map of the trunk is normalized over the batch and brought to the number of channels by a 1x1 convolution; each is
    then added to the next finer one (Lin et al. 2017, without their last 3x3 convolutions). Coarser maps are made by 3x3
    convolutions of stride 2.

    Args:
        shapes: of the trunk's maps, from fine to coarse.
        channels: of all maps that it gives.
        extra: the number of coarser maps.
    """

    def __init__(self, shapes: Shapes, channels: int, extra: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(shape[0]), nn.Conv2d(shape[0], channels, 1)) for shape in shapes
        )
        self.extra = nn.ModuleList(nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(extra))

    def forward(self, maps: Features) -> Features:
        """The maps for the head, from fine to coarse."""
        laterals = [lateral(each) for lateral, each in zip(self.lateral, maps, strict=True)]
        for finer in range(len(laterals) - 2, -1, -1):
            size = laterals[finer].shape[2:]
            laterals[finer] = laterals[finer] + functional.interpolate(laterals[finer + 1], size)
        levels = [functional.relu(each) for each in laterals]
        for convolution in self.extra:
            levels.append(functional.relu(convolution(levels[-1])))
        return tuple(levels)
