"""Images whose kinds are easy to tell apart, for strategies that train networks of their own on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from strategies.base import Context
from tasks.base import TapModel, UnlabeledTask
from tasks.images.pixels import Pixels
from tasks.training.learner import Learner

SIDE = 16


class Pictures(UnlabeledTask[Any, Any]):
    """Images, and nothing known of them."""

    def posteriors(self, raw):
        raise AssertionError

    def losses(self, raw, targets):
        raise AssertionError

    def pseudo_targets(self, raw):
        raise AssertionError

    def embed(self, outputs):
        raise AssertionError


class Glass(TapModel):
    """A model whose tap is the image."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Identity()
        self.weight = nn.Parameter(torch.zeros(1))

    def trunk(self, images):
        return (images,), (images.mean((2, 3)),)


class Corner(nn.Module):
    """Predicts the loss that stands in an image's first pixel."""

    def forward(self, taps):
        return taps[0][:, 0, 0, 0]


def noise(count: int, mean: float, seed: int = 0) -> Tensor:
    """Noise of this brightness."""
    drawn = np.random.default_rng(seed).normal(mean, 30, (count, 3, SIDE, SIDE))
    return torch.from_numpy(drawn.clip(0, 255).astype(np.uint8))


def bright_above(count: int, seed: int = 0) -> Tensor:
    """Noise whose upper half is the brighter one."""
    return torch.cat([noise(count, 170, seed)[:, :, : SIDE // 2], noise(count, 80, seed)[:, :, SIDE // 2 :]], 2)


def with_corners(corners: list[int], seed: int = 0) -> Tensor:
    """Images that are all of one kind, but for the pixel from which `Corner` reads its prediction."""
    images = noise(len(corners), 120, seed)
    images[:, :, 0, 0] = torch.tensor(corners, dtype=torch.uint8)[:, None]
    return images


def context(
    images: Tensor, labeled: int, budget: int, *, seed: int = 0, groups: Tensor | None = None, lossnet: Any = None
) -> Context:
    """The first images are labeled, the others are the candidates."""
    learner = Learner(Pictures(Pixels(images, images.shape[-1])), Glass(), lossnet)
    known = torch.ones(labeled, 1, dtype=torch.bool) if groups is None else groups
    ids = np.arange(len(images))
    rng = np.random.default_rng(seed)
    return Context(budget, ids[:labeled], ids[labeled:], (learner,), rng, lambda: known)
