"""LearningLoss++: a convolutional loss predictor over all scales, and its objective (Shukla & Ahmed, CVPRW 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from lossnet.module import check_tap_count
from lossnet.objectives import Objective

LAYERS = (128, 64, 32, 16, 8)  # hidden units of the fully connected layers (the authors' code)


class MultiScaleLossNet(nn.Module):
    """Predicts one loss per image from a model's taps as feature maps, without averaging them over space.

    The taps are read from the largest map to the smallest: 2 x 2 convolutions of stride 2, each with ReLU, halve the
    map until it has the size of the next tap, which is then added. The last sum is halved down to 1 x 1, and fully
    connected layers give one number (paper, section 4.2, for an hourglass's maps from 64 x 64 down to 4 x 4). Where
    halving does not reach the size of the next tap, average pooling does.

    Differs from the paper in that each tap first passes a 1 x 1 convolution, because taps may differ in their channels,
    and in that the last 4 x 4 map is halved twice, where the paper has one 4 x 4 convolution. Like the authors' code it
    has no normalization: with group normalization behind every convolution it ranked losses worse in seven of nine
    trials (the three scenes tasks, 400 labels, seeds 100 to 102).

    As `reads_scales` says, it wants the maps of all resolutions inside the last stack where a model shows them, as the
    hourglass does, in place of its taps.

    Args:
        shapes: channels, height and width of each tap, in the order in which the taps are passed.
        width: channels of all maps (256 in the paper, as its hourglass has).

    Raises:
        ValueError: there is no tap to read.
    """

    reads_scales = True

    def __init__(self, shapes: Sequence[tuple[int, int, int]], width: int = 128) -> None:
        super().__init__()
        if not shapes:
            msg = f"{type(self).__name__} needs at least one tap, and was given none"
            raise ValueError(msg)
        self.tap_count = len(shapes)
        self.branches = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels, _, _ in shapes)
        sizes = [(tap_height, tap_width) for _, tap_height, tap_width in shapes]
        self.order = sorted(range(len(shapes)), key=lambda tap: -math.prod(sizes[tap]))
        ordered_sizes = [*(sizes[tap] for tap in self.order), (1, 1)]
        self.down = nn.ModuleList(
            nn.Sequential(*(HalvingConvolution(width) for _ in range(halving_count(size, next_size))))
            for size, next_size in pairwise(ordered_sizes)
        )
        layers = [(nn.Linear(inputs, outputs), nn.ReLU()) for inputs, outputs in pairwise((width, *LAYERS))]
        self.hidden = nn.Sequential(*(module for layer in layers for module in layer))
        self.last = nn.Linear(LAYERS[-1], 1)

    @classmethod
    def for_taps(cls, taps: Sequence[Tensor], width: int = 128) -> MultiScaleLossNet:
        """A module whose layer sizes follow from the taps of one forward pass."""
        return cls([(tap.shape[1], tap.shape[2], tap.shape[3]) for tap in map(as_map, taps)], width)

    def forward(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """Predicted losses: larger means that a larger loss is expected. Only their differences have a meaning.

        Args:
            taps: all taps of the model, each (n, channels) or (n, channels, height, width).
        """
        check_tap_count(self, taps, self.tap_count)
        maps = [self.branches[tap](as_map(taps[tap])) for tap in self.order]
        fused = self.down[0](maps[0])
        for next_map, down in zip(maps[1:], self.down[1:], strict=True):
            size = (next_map.shape[2], next_map.shape[3])
            fused = down(next_map + functional.adaptive_avg_pool2d(fused, size))  # changes nothing at equal sizes
        return self.last(self.hidden(fused.mean((2, 3)))).squeeze(1)

    def predict_losses(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """The same as calling the module."""
        return self(taps)


class HalvingConvolution(nn.Module):
    """A 2 x 2 convolution of stride 2 with ReLU, which halves height and width, rounding up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 2, 2)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c _ _"]:
        """The smaller maps; an odd side is padded by one row or column of zeros."""
        height, width = maps.shape[2:]
        return torch.relu(self.convolution(functional.pad(maps, (0, width % 2, 0, height % 2))))


def as_map(tap: Tensor) -> Float[Tensor, "n c h w"]:
    """A tap as a feature map; a vector (n, c) becomes a map of 1 x 1."""
    return tap[:, :, None, None] if tap.ndim == 2 else tap  # noqa: PLR2004 - (n, c) has no spatial extent


def halving_count(size: tuple[int, int], target: tuple[int, int]) -> int:
    """The number of halvings, rounding up, until a map has the target size or one more would make a side too small.

    Args:
        size: height and width of the map.
        target: height and width to reach.
    """
    count = 0
    while size != target:
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        if size[0] < target[0] or size[1] < target[1]:
            break
        count += 1
    return count


def divergence_loss(predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean Kullback-Leibler divergence KL(p | q) over the pairs of images (i, n-1-i), in nats (paper, section 4.1).

    p are the two losses divided by their sum, or (1/2, 1/2) where both are 0; q is the softmax of the two predictions.
    The gradient with respect to the predictions is q - p: it shrinks as the predictions approach p, whereas that of the
    ranking loss is all or nothing. An odd last item is left out; a batch of one has no pair and gives 0. Gradients flow
    into `predicted` only.

    Args:
        predicted: on any scale.
        losses: at least 0.
    """
    pairs = len(predicted) // 2
    if pairs == 0:
        return predicted.sum() * 0
    logits, pair_losses = (
        torch.stack([values[:pairs], values[: 2 * pairs].flip(0)[:pairs]]) for values in (predicted, losses)
    )
    pair_losses = pair_losses.detach()
    total = pair_losses.sum(0)
    target = torch.where(total > 0, pair_losses / torch.where(total > 0, total, 1.0), 0.5)
    return functional.kl_div(logits.log_softmax(0), target, reduction="none").sum(0).mean()


@dataclass(frozen=True)
class DivergenceObjective(Objective):
    """LearningLoss++: train a `MultiScaleLossNet` by the divergence loss, by default on taps that are always detached.

    Args:
        width: channels of the module's maps.
    """

    detach_after: float = 0.0
    reads_scales: ClassVar[bool] = True
    """Whether the module is built for, and trained on, a model's `scales` where there are any."""

    def build(self, taps: Sequence[Tensor]) -> MultiScaleLossNet:
        """A new module for these taps, initialized from torch's global generator."""
        return MultiScaleLossNet.for_taps(taps, self.width)

    def compare(self, predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """The mean divergence over the batch's pairs."""
        return divergence_loss(predicted, losses)
