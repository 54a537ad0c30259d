"""ResNet-18 in any width, from torchvision's blocks: its four stages, and a classifier on them."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from tasks.base import Features, TapModel
from tasks.models.settings import ClassifierSettings


class ResNet18Stages(nn.Module):
    """A stem and the four stages of ResNet-18 (He et al. 2016); width 64 is the original.

    Args:
        width: channels of the first stage; each further stage doubles them.
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
        """The outputs of the four stages, each half as large as the one before it."""
        one = self.stages[0](self.stem(images))
        two = self.stages[1](one)
        three = self.stages[2](two)
        return one, two, three, self.stages[3](three)


def _stage(inward: int, outward: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or inward != outward:
        shortcut = nn.Sequential(nn.Conv2d(inward, outward, 1, stride, bias=False), nn.BatchNorm2d(outward))
    return nn.Sequential(BasicBlock(inward, outward, stride, shortcut), BasicBlock(outward, outward))


class Classifier(TapModel):
    """ResNet-18; its four stages are the taps, the pooled last one the features."""

    def __init__(self, settings: ClassifierSettings, classes: int) -> None:
        super().__init__()
        self.stages = ResNet18Stages(settings.width, settings.stem)
        self.head = nn.Linear(self.stages.channels[-1], classes)

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The four stage outputs and the pooled last one."""
        taps = self.stages(images)
        return taps, (taps[-1].mean((2, 3)),)
