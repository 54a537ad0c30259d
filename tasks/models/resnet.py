"""ResNet-18 of any width, built from torchvision's blocks: the four stages, and a classifier on top of them."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from tasks.base import Features, TapModel
from tasks.models.settings import ResNetSettings


class ResNet18Stages(nn.Module):
    """The stem and the four stages of ResNet-18 (He et al. 2016). The original has width 64.

    Args:
        width: channels of the first stage; each later stage doubles them.
        stem: `cifar` is one 3x3 convolution at full resolution, `half` the same with stride 2, and `imagenet` the
            original 7x7 convolution and max-pool with total stride 4.
    """

    def __init__(self, width: int, stem: Literal["cifar", "half", "imagenet"]) -> None:
        super().__init__()
        kernel, stride = {"cifar": (3, 1), "half": (3, 2), "imagenet": (7, 2)}[stem]
        first = [nn.Conv2d(3, width, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.stem = nn.Sequential(*first, *([nn.MaxPool2d(3, 2, 1)] if stem == "imagenet" else []))
        self.channels = tuple(width * 2**stage for stage in range(4))
        self.stages = nn.ModuleList(
            _stage(width if stage == 0 else out // 2, out, stride=1 if stage == 0 else 2)
            for stage, out in enumerate(self.channels)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The outputs of the four stages; each has half the height and width of the one before it."""
        first = self.stages[0](self.stem(images))
        second = self.stages[1](first)
        third = self.stages[2](second)
        return first, second, third, self.stages[3](third)


def _stage(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or in_channels != channels:
        shortcut = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
    return nn.Sequential(BasicBlock(in_channels, channels, stride, shortcut), BasicBlock(channels, channels))


class Classifier(TapModel):
    """ResNet-18 with a linear head. Taps: the four stages. Features: the spatial mean of the last stage."""

    def __init__(self, settings: ResNetSettings, classes: int) -> None:
        super().__init__()
        self.stages = ResNet18Stages(settings.width, settings.stem)
        self.head = nn.Linear(self.stages.channels[-1], classes)

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The outputs of the four stages, and the spatial mean of the last one."""
        taps = self.stages(images)
        return taps, (taps[-1].mean((2, 3)),)
