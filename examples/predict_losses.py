"""A network of one's own, and lossnet beside it, which learns what it gets wrong.

Run it by `python predict_losses.py`.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import lossbench
from lossnet import LossNet, hooked_taps, ranking_accuracy, ranking_loss

PROTOCOL = Path(__file__).with_name("small-scenes.toml")
LABELED, EPOCHS, BATCH = 200, 20, 20


class Network(nn.Module):
    """Three stages of convolutions and a linear classifier."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first = self.stage(3, 16)
        self.second = self.stage(16, 32)
        self.third = self.stage(32, 64)
        self.classifier = nn.Linear(64, classes)

    @staticmethod
    def stage(inputs: int, outputs: int) -> nn.Module:
        """Half the size."""
        convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """One logit for each class."""
        return self.classifier(self.third(self.second(self.first(images))).mean((2, 3)))


def main() -> None:
    """Train both on a few labels, and pick the images of the highest predicted loss from the rest."""
    torch.manual_seed(0)
    task = lossbench.load_task(PROTOCOL)
    ids = np.arange(task.pool_size)
    images, labels = task.unlabeled.images(ids), task.targets(ids)
    network = Network(len(task.group_names))
    with hooked_taps(network, ["first", "second", "third"]) as taps:
        network(images[:2])  # one forward pass gives the sizes of the taps
        lossnet = LossNet.for_taps(taps)
        optimizer = torch.optim.AdamW([*network.parameters(), *lossnet.parameters()], lr=3e-3)
        for _ in range(EPOCHS):
            for batch in torch.randperm(LABELED).split(BATCH):
                losses = cross_entropy(network(images[batch]), labels[batch], reduction="none")
                total = losses.mean() + ranking_loss(lossnet(taps), losses)
                optimizer.zero_grad()
                total.backward()
                optimizer.step()
        network.eval()
        with torch.no_grad():
            rest = slice(LABELED, None)
            losses = cross_entropy(network(images[rest]), labels[rest], reduction="none")
            predicted = lossnet(taps)
    right = ranking_accuracy(predicted, losses)
    print(f"pairs of unlabeled images in the order of their losses: {right:.2f}")
    print("label these next:", (predicted.topk(5).indices + LABELED).tolist())


if __name__ == "__main__":
    main()
