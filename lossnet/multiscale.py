"""LearningLoss++: a convolutional loss predictor over all scales, and its objective (Shukla & Ahmed, CVPRW 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from lossnet.module import check_tap_count
from lossnet.objectives import Objective

LAYERS = (128, 64, 32, 16, 8)  # hidden units behind the extractor (the authors' code)


class MultiScaleLossNet(nn.Module):
    """Predicts one loss per image from a model's taps as they lie in the image, not from their averages.

    From the finest map to the coarsest: 2 x 2 convolutions of stride 2, each with ReLU, halve the map until it is as
    small as the next tap, which is then added; others go on to a single place, and fully connected layers end in one
    number (paper, section 4.2, for an hourglass's maps from 64 x 64 down to 4 x 4).

    Differs from the paper in that each tap first passes a 1 x 1 convolution, because taps may differ in their channels,
    and in that the last 4 x 4 map is halved twice, where the paper has one 4 x 4 convolution. Like the authors' code it
    has no normalisation: with group normalisation behind every convolution it ranked losses worse in seven of nine
    trials (the three scenes tasks, 400 labels, seeds 100 to 102).

    Args:
        shapes: channels, height and width of each tap, in the order in which the taps are handed over.
        width: channels of all maps (256 in the paper, as its hourglass has).
    """

    def __init__(self, shapes: Sequence[tuple[int, int, int]], width: int = 128) -> None:
        super().__init__()
        if not shapes:
            msg = f"{type(self).__name__} needs at least one tap, and was given none"
            raise ValueError(msg)
        self.tap_count = len(shapes)
        self.branches = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels, _, _ in shapes)
        extents = [(height, breadth) for _, height, breadth in shapes]
        self.order = sorted(range(len(shapes)), key=lambda tap: -math.prod(extents[tap]))
        ends = [*(extents[tap] for tap in self.order), (1, 1)]
        self.down = nn.ModuleList(
            nn.Sequential(*(Halving(width) for _ in range(halvings(one, other)))) for one, other in pairwise(ends)
        )
        layers = [(nn.Linear(one, other), nn.ReLU()) for one, other in pairwise((width, *LAYERS))]
        self.hidden = nn.Sequential(*(part for layer in layers for part in layer))
        self.last = nn.Linear(LAYERS[-1], 1)

    @classmethod
    def for_taps(cls, taps: Sequence[Tensor], width: int = 128) -> MultiScaleLossNet:
        """A module sized by the taps of one dry forward pass."""
        return cls([(tap.shape[1], tap.shape[2], tap.shape[3]) for tap in map(as_map, taps)], width)

    def forward(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """Predicted losses; larger means a larger loss is expected. Only differences carry a meaning.

        Args:
            taps: one tensor per branch, each (n, channels) or (n, channels, height, width).
        """
        check_tap_count(self, taps, self.tap_count)
        maps = [self.branches[tap](as_map(taps[tap])) for tap in self.order]
        fused = self.down[0](maps[0])
        for finer, down in zip(maps[1:], self.down[1:], strict=True):
            extent = (finer.shape[2], finer.shape[3])
            fused = down(finer + functional.adaptive_avg_pool2d(fused, extent))  # as it is, where halving led there
        return self.last(self.hidden(fused.mean((2, 3)))).squeeze(1)

    def predict_losses(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        """The same as calling the module."""
        return self(taps)


class Halving(nn.Module):
    """A convolution to maps of half the extent, rounded up, and ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 2, 2)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c _ _"]:
        """The smaller maps; an odd side is padded by 0."""
        height, breadth = maps.shape[2:]
        return torch.relu(self.convolution(functional.pad(maps, (0, breadth % 2, 0, height % 2))))


def as_map(tap: Tensor) -> Float[Tensor, "n c h w"]:
    """A tap as a map; a vector has a single place."""
    return tap[:, :, None, None] if tap.ndim == 2 else tap  # noqa: PLR2004 - (n, c) has no extent


def halvings(extent: tuple[int, int], wanted: tuple[int, int]) -> int:
    """How often a map may be halved, rounding up, before a side falls below the wanted one."""
    count = 0
    while extent != wanted:
        extent = ((extent[0] + 1) // 2, (extent[1] + 1) // 2)
        if extent[0] < wanted[0] or extent[1] < wanted[1]:
            break
        count += 1
    return count


def divergence_loss(predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean divergence KL(p | q) over the pairs (i, n-1-i), in nats: p are two losses over their sum, q the softmax.

    q is over the two predictions (paper, section 4.1); two losses of 0 count as equal. The gradient in a prediction is
    q - p: it fades as the prediction becomes right, where that of the ranking loss is all or nothing. An odd last item
    is left out; a batch of one has no pair and gives 0. Gradients flow into `predicted` only.

    Args:
        predicted: on any scale.
        losses: at least 0.
    """
    pairs = len(predicted) // 2
    if pairs == 0:
        return predicted.sum() * 0
    guess, truth = (torch.stack([each[:pairs], each[: 2 * pairs].flip(0)[:pairs]]) for each in (predicted, losses))
    truth = truth.detach()
    total = truth.sum(0)
    shares = torch.where(total > 0, truth / torch.where(total > 0, total, 1.0), 0.5)
    return functional.kl_div(guess.log_softmax(0), shares, reduction="none").sum(0).mean()


@dataclass(frozen=True)
class DivergenceObjective(Objective):
    """LearningLoss++: the multi-scale module, trained by divergences on taps that are always detached.

    Args:
        width: channels of the module's maps.
    """

    detach_after: float = 0.0

    def build(self, taps: Sequence[Tensor]) -> MultiScaleLossNet:
        """A new module for these taps, drawn from torch's global generator."""
        return MultiScaleLossNet.for_taps(taps, self.width)

    def compare(self, predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """The divergence over the batch's pairs."""
        return divergence_loss(predicted, losses)
