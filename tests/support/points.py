"""Images that are points, and a linear classifier of them: features, embeddings and taps are known by hand."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from strategies import Context
from tasks.base import Outputs, Posteriors, TapModel, UnlabeledTask
from tasks.training.learner import Learner


class Points(UnlabeledTask[Tensor, Tensor]):
    """Images are points; the rest is as in classification."""

    def __init__(self, points: Tensor) -> None:
        self.points = points

    def images(self, ids: np.ndarray) -> Tensor:
        return self.points[torch.from_numpy(ids)][:, None, None].expand(-1, 3, 1, -1)

    @property
    def device(self) -> torch.device:
        return self.points.device

    def posteriors(self, raw: Tensor) -> Posteriors:
        return Posteriors(raw.log_softmax(1)[:, None], torch.ones_like(raw[:, :1]), raw.argmax(1, keepdim=True))

    def losses(self, raw: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(raw, targets, reduction="none")

    def pseudo_targets(self, raw: Tensor) -> Tensor:
        return raw.argmax(1)

    def embed(self, outputs: Outputs) -> Tensor:
        return outputs.features[0]


class Line(TapModel):
    """A linear classifier of points; its tap is the image."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.head = nn.Linear(weight.shape[1], len(weight))
        with torch.no_grad():
            self.head.weight.copy_(weight)
            self.head.bias.copy_(bias)

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        return (images,), (images[:, 0, 0],)


def context(
    points: Tensor, weight: Tensor, bias: Tensor, groups: Tensor, budget: int = 3, batch: int = 128, seed: int = 0
) -> Context:
    """The first points are labeled, in these groups; the others are candidates."""
    learner = Learner(Points(points), Line(weight, bias).eval(), batch=batch)
    labeled, candidates = np.arange(len(groups)), np.arange(len(groups), len(points))
    rng = np.random.default_rng(seed)
    return Context(budget, labeled, candidates, (learner,), rng, lambda: groups)


class LastCoordinate(nn.Module):
    """Predicts what an image's tap holds last."""

    def forward(self, taps: tuple[Tensor, ...]) -> Tensor:
        return taps[0][:, 0, 0, -1]


class Plane(Points):
    """The last coordinate of a point is its predicted loss, and no part of its embedding."""

    def embed(self, outputs: Outputs) -> Tensor:
        return outputs.features[0][:, :-1]


def context_of_losses(
    embeddings: Tensor,
    losses: Tensor,
    budget: int,
    seed: int = 0,
    *,
    labeled: int = 0,
    classifier: Tensor | None = None,
) -> Context:
    """Images with these embeddings and predicted losses; the first are labeled, with no groups.

    Without the weights (classes, embedding) of a classifier all predictions are certain.
    """
    points = torch.cat([embeddings, losses[:, None]], 1)
    weight = torch.zeros(1, embeddings.shape[1]) if classifier is None else classifier
    model = Line(functional.pad(weight, (0, 1)), torch.zeros(len(weight))).eval()
    learner = Learner(Plane(points), model, auxiliary=LastCoordinate())
    ids = np.arange(len(points))
    rng = np.random.default_rng(seed)
    return Context(budget, ids[:labeled], ids[labeled:], (learner,), rng, lambda: torch.zeros(labeled, 1))


def random_problem(seed: int, count: int = 300, size: int = 12, classes: int = 5) -> tuple[Tensor, ...]:
    """Points, means of groups, and a classifier's weight and bias."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, size, generator=generator) * 2
    means, weight = torch.randn(classes, size, generator=generator), torch.randn(classes, size, generator=generator)
    return points, means, weight / 2, torch.randn(classes, generator=generator)
