"""The stacked hourglass network (Newell et al. 2016), of any width, depth and number of stacks."""

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
    """A pre-activation bottleneck residual block (He et al. 2016b).

    Differs from Newell et al. in that it is initialized as the identity (Goyal et al. 2017, section 5.1): with torch's
    default initialization, a narrow network first learns to predict empty heatmaps, and seldom leaves that optimum.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(
            nn.BatchNorm2d(in_channels), nn.ReLU(), nn.Conv2d(in_channels, half, 1),
            nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, half, 3, padding=1),
            nn.BatchNorm2d(half), nn.ReLU(),
        )  # fmt: skip
        self.last = nn.Conv2d(half, channels, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(cast("Tensor", self.last.bias))
        self.shortcut = nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps of the same resolution."""
        return self.shortcut(maps) + self.last(self.body(maps))


class Hourglass(nn.Module):
    """Downsamples `depth` times and upsamples again, with a skip branch at every resolution."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.branch, self.before, self.after = (Residual(width, width) for _ in range(3))
        self.inner = Hourglass(depth - 1, width) if depth > 1 else Residual(width, width)

    def levels(self, maps: Tensor) -> list[Tensor]:
        """The output of this hourglass, and of those inside it, from the resolution of its input down to the smallest."""
        smaller = self.before(functional.max_pool2d(maps, 2))
        inside = self.inner.levels(smaller) if isinstance(self.inner, Hourglass) else [self.inner(smaller)]
        below = self.after(inside[0])
        return [self.branch(maps) + functional.interpolate(below, size=maps.shape[2:], mode="nearest"), *inside]

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps of the same resolution."""
        return self.levels(maps)[0]


class StackOutputs(nn.Module):
    """The head: the last 1x1 convolution of every stack."""

    def __init__(self, stacks: int, width: int, joints: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(width, joints, 1) for _ in range(stacks))
        for weights in self.parameters():
            nn.init.normal_(weights, std=0.001)  # heatmaps start near zero

    def forward(self, *features: Tensor) -> Float[Tensor, "n s j h w"]:
        """The heatmaps of all s stacks, from the last feature map of each."""
        return torch.stack([conv(maps) for conv, maps in zip(self.convolutions, features, strict=True)], 1)


class StackedHourglass(TapModel):
    """A stack's feature map before its last convolution is both a tap and a feature.

    Its scales are the hourglass of the last stack at all its resolutions, such as 64, 32, 16, 8 and 4 cells a side.
    """

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
        """The last feature map of every stack, as taps and as features."""
        taps, features, _ = self.scaled_trunk(images)
        return taps, features

    def scaled_trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features, tuple[Tensor, ...]]:
        """The same, and the maps inside the last stack's hourglass, the largest first."""
        maps, features, levels = self.stem(images), [], []
        for stack, (hourglass, *others) in enumerate(cast("list[nn.Sequential]", self.stacks)):
            levels = cast("Hourglass", hourglass).levels(maps)
            features.append(levels[0])
            for part in others:
                features[-1] = part(features[-1])
            if stack < len(self.back_features):
                heatmaps = self.head.convolutions[stack](features[-1])  # intermediate predictions feed the next stack
                maps = maps + self.back_features[stack](features[-1]) + self.back_heatmaps[stack](heatmaps)
        return tuple(features), tuple(features), tuple(levels)
