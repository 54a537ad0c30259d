"""A model of one's own in one file: `lossbench run PROTOCOL --model-file own_model.py`.

The protocol names it: `[task.model]`, `kind = "file"`, `name = "two-stages"`, `pixels = 32`.
"""

from torch import nn

from tasks.models.tapped import OwnModel, TappedModel


class TwoStages(OwnModel):
    """Two convolutions and a linear classifier; the taps are the outputs of both stages."""

    name = "two-stages"

    def build(self, outputs: int) -> TappedModel:
        """A new network with `outputs` logits."""
        first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU())
        second = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU())
        pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        network = nn.Sequential(first, second, pooled, nn.Linear(16, outputs))
        return TappedModel(network, taps=["0", "1"], head="3")
