"""The stacked hourglass network (Newell et al. 2016), in any width, depth and number of stacks."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from tasks.base import Features, TapModel
from tasks.models.settings import HourglassSettings

STRIDE = 4  # input pixels per heatmap cell


class Residual(nn.Module):
    """A bottleneck residual block with its normalisation in front (He et al. 2016b).

    Differs from Newell et al. in that it starts as the identity (Goyal et al. 2017, section 5.1): with torch's usual
    start a narrow network first learns the empty heatmap, and then seldom leaves it.
    """

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        half = outward // 2
        self.body = nn.Sequential(
            nn.BatchNorm2d(inward), nn.ReLU(), nn.Conv2d(inward, half, 1),
            nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, half, 3, padding=1),
            nn.BatchNorm2d(half), nn.ReLU(),
        )  # fmt: skip
        self.last = nn.Conv2d(half, outward, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(cast("Tensor", self.last.bias))
        self.shortcut = nn.Identity() if inward == outward else nn.Conv2d(inward, outward, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of the same extent."""
        return self.shortcut(maps) + self.last(self.body(maps))


class Hourglass(nn.Module):
    """Down and up again, with a branch at every extent."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.branch, self.before, self.after = (Residual(width, width) for _ in range(3))
        self.inner = Hourglass(depth - 1, width) if depth > 1 else Residual(width, width)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of the same extent."""
        below = self.after(self.inner(self.before(functional.max_pool2d(maps, 2))))
        return self.branch(maps) + functional.interpolate(below, size=maps.shape[2:], mode="nearest")


class StackOutputs(nn.Module):
    """The last 1x1 convolution of every stack."""

    def __init__(self, stacks: int, width: int, joints: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(width, joints, 1) for _ in range(stacks))
        for weights in self.parameters():
            nn.init.normal_(weights, std=0.001)  # heatmaps start near zero

    def forward(self, *features: Tensor) -> Float[Tensor, "n s j h w"]:
        """Heatmaps of all stacks."""
        return torch.stack([each(maps) for each, maps in zip(self.convolutions, features, strict=True)], 1)


class StackedHourglass(TapModel):
    """Each stack's map before its last convolution is a tap and a feature."""

    head: StackOutputs

    def __init__(self, settings: HourglassSettings, joints: int) -> None:
        super().__init__()
        width, stacks = settings.width, settings.stacks
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 4, 7, 2, 3), nn.BatchNorm2d(width // 4), nn.ReLU(), Residual(width // 4, width // 2),
            nn.MaxPool2d(2), Residual(width // 2, width // 2), Residual(width // 2, width),
        )  # fmt: skip
        self.stacks = nn.ModuleList(
            nn.Sequential(
                Hourglass(settings.depth, width), Residual(width, width),
                nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(),
            )
            for _ in range(stacks)
        )  # fmt: skip
        self.back_features = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(stacks - 1))
        self.back_heatmaps = nn.ModuleList(nn.Conv2d(joints, width, 1) for _ in range(stacks - 1))
        self.head = StackOutputs(stacks, width, joints)

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The map of every stack, twice."""
        maps, features = self.stem(images), []
        for stack, hourglass in enumerate(self.stacks):
            features.append(hourglass(maps))
            if stack < len(self.back_features):
                heatmaps = self.head.convolutions[stack](features[-1])
                maps = maps + self.back_features[stack](features[-1]) + self.back_heatmaps[stack](heatmaps)
        return tuple(features), tuple(features)
