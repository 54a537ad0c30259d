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

from lossnet.module import LossNet
from lossnet.objectives import Objective

LAYERS = (128, 64, 32, 16, 8)  # hidden units behind the extractor (the authors' code)
GROUP_CHANNELS = 16  # normalised together, within the range that Wu & He 2018 (table 3) found good
NORM = "both"


class MultiScaleLossNet(LossNet):
    def __init__(self, shapes: Sequence[tuple[int, ...]], width: int = 128) -> None:
        super().__init__([shape[0] for shape in shapes], width)
        extents = [(shape[1], shape[2]) for shape in shapes]
        self.order = sorted(range(len(shapes)), key=lambda tap: -math.prod(extents[tap]))
        ends = [*(extents[tap] for tap in self.order), (1, 1)]
        self.down = nn.ModuleList(
            nn.Sequential(*(_Halving(width) for _ in range(_halvings(one, other)))) for one, other in pairwise(ends)
        )
        groups = math.gcd(width, max(1, width // GROUP_CHANNELS))
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width) if NORM == "both" else nn.Identity() for _ in shapes)
        sizes = (width, *LAYERS)
        layers = [layer for one, other in pairwise(sizes) for layer in (nn.Linear(one, other), nn.ReLU())]
        self.hidden = nn.Sequential(*layers)
        self.last = nn.Linear(sizes[-1], 1)

    @classmethod
    def for_taps(cls, taps: Sequence[Tensor], width: int = 128) -> MultiScaleLossNet:
        return cls([tuple(_as_map(tap).shape[1:]) for tap in taps], width)

    def forward(self, taps: Sequence[Tensor]) -> Float[Tensor, " n"]:
        state = None
        for tap, down, norm in zip(self.order, self.down, self.norms, strict=True):
            branch = self.branches[tap]
            found = norm(functional.conv2d(_as_map(taps[tap]), branch.weight[:, :, None, None], branch.bias))
            if state is not None:
                if state.shape[2:] != found.shape[2:]:
                    state = functional.adaptive_avg_pool2d(state, found.shape[2:])
                found = found + state
            state = down(found)
        return self.last(self.hidden(state.mean((2, 3)))).squeeze(1)


class _Halving(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        groups = math.gcd(width, max(1, width // GROUP_CHANNELS))
        self.convolution = nn.Conv2d(width, width, 2, 2)
        self.norm = nn.GroupNorm(groups, width) if NORM != "none" else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        return torch.relu(self.norm(self.convolution(functional.pad(maps, (0, width % 2, 0, height % 2)))))


def _as_map(tap: Tensor) -> Tensor:
    return tap[:, :, None, None] if tap.ndim == 2 else tap


def _halvings(extent: tuple[int, int], wanted: tuple[int, int]) -> int:
    count = 0
    while extent != wanted:
        half = ((extent[0] + 1) // 2, (extent[1] + 1) // 2)
        if half[0] < wanted[0] or half[1] < wanted[1]:
            break
        extent, count = half, count + 1
    return count


def divergence_loss(predicted: Tensor, losses: Tensor) -> Tensor:
    pairs = len(predicted) // 2
    if pairs == 0:
        return predicted.sum() * 0
    guess = torch.stack([predicted[:pairs], predicted[: 2 * pairs].flip(0)[:pairs]]).log_softmax(0)
    truth = torch.stack([losses[:pairs], losses[: 2 * pairs].flip(0)[:pairs]]).detach()
    total = truth.sum(0)
    share = torch.where(total > 0, truth / torch.where(total > 0, total, 1.0), 0.5)
    return functional.kl_div(guess, share, reduction="none").sum(0).mean()


@dataclass(frozen=True)
class DivergenceObjective(Objective):
    detach_after: float = 0.0

    def build(self, taps: Sequence[Tensor]) -> MultiScaleLossNet:
        return MultiScaleLossNet.for_taps(taps, self.width)

    def compare(self, predicted, losses):
        return divergence_loss(predicted, losses)
