"""ResNet-18 for small images."""

from __future__ import annotations

from torch import Tensor, nn

from tasks.base import Features, TapModel
from tasks.resnet import ResNet18Stages
from tasks.settings import ClassifierSettings


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
