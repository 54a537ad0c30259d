"""Modules that predict losses, trained on made-up taps: how well they rank the losses of images not seen before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from margin import Margin
from torch import Tensor, nn

from lossnet import (
    DivergenceObjective,
    ListwiseObjective,
    LossNet,
    RankingObjective,
    RegressionObjective,
    ranking_accuracy,
)
from lossnet.objectives import Objective

Draw = Callable[[int, torch.Generator], tuple[list[Tensor], Tensor]]
"""Taps and losses of so many images."""


def absolute_values(count: int, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
    """Vectors whose loss grows with the absolute value of a coordinate, which no linear function ranks."""
    features = torch.randn(count, 8, generator=generator)
    return [features], features[:, 0].abs() + 0.1 * features[:, 1].square()


def bright_cells(count: int, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
    """A map with one bright cell, a coarse map of noise, and losses that tell in which column the cell lies."""
    places = torch.randint(16, (count,), generator=generator)
    fine = torch.zeros(count, 16).scatter(1, places[:, None], 1.0).view(count, 1, 4, 4)
    return [fine, torch.randn(count, 2, 2, 2, generator=generator)], 0.1 + (places % 4) / 4.0


def peaks(count: int, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
    """Maps of mean 0 and standard deviation 1; the loss is the height of a peak."""
    height = 2.5 + torch.rand(count, 1, generator=generator)
    others = torch.randn(count, 15, generator=generator)
    others = (others - others.mean(1, keepdim=True)) / others.std(1, correction=0, keepdim=True)
    mean = -height / 15
    others = mean + others * ((16 - height.square()) / 15 - mean.square()).sqrt()
    return [torch.cat([height, others], 1).view(count, 1, 4, 4)], height[:, 0]


def held_out_accuracy(
    objective: Objective,
    drawn: Draw,
    seed: int,
    *,
    steps: int,
    learning_rate: float,
    batch: int = 64,
    shuffle: bool = False,
    build: Callable[[list[Tensor]], nn.Module] | None = None,
) -> float:
    """Ranking accuracy on 500 images after training on 2,000; with `shuffle` each batch's losses are permuted."""
    generator = torch.Generator().manual_seed(seed)
    (taps, losses), (others, true) = drawn(2000, generator), drawn(500, generator)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = (build or objective.build)(taps)
    optimizer = torch.optim.Adam(module.parameters(), learning_rate)
    for _ in range(steps):
        rows = torch.randint(len(losses), (batch,), generator=generator)
        targets = losses[rows[torch.randperm(batch, generator=generator)] if shuffle else rows]
        optimizer.zero_grad()
        objective.loss(module, [tap[rows] for tap in taps], targets, 0.0).backward()
        optimizer.step()
    with torch.no_grad():
        return ranking_accuracy(module.eval()(others), true)


@contextmanager
def without_relu() -> Iterator[None]:
    """LossNet's hidden units are linear; the ranking loss, on vectors, keeps its hinge."""
    relu = torch.relu
    torch.relu = lambda values: values if values.ndim == 2 else values.clamp(min=0)
    try:
        yield
    finally:
        torch.relu = relu


def of_vectors(objective: Objective, **changes: bool) -> Callable[[int], float]:
    """LossNet's accuracy on absolute values."""
    return lambda seed: held_out_accuracy(objective, absolute_values, seed, steps=300, learning_rate=1e-2, **changes)


def linear(seed: int) -> float:
    """LossNet's accuracy on absolute values, without its ReLU."""
    with without_relu():
        return of_vectors(RankingObjective())(seed)


def of_places(objective: Objective, seed: int, steps: int) -> float:
    """Accuracy where only the place of a bright cell tells the loss."""
    return held_out_accuracy(objective, bright_cells, seed, steps=steps, learning_rate=1e-3)


def of_places_from_two_starts(seed: int) -> float:
    """The better accuracy of two multi-scale modules: one start in thirty has nothing but dead units in its last layer."""
    return max(of_places(DivergenceObjective(width=32), 2 * seed + start, 300) for start in range(2))


def of_peaks(build: Callable[[list[Tensor]], nn.Module] | None = None) -> Callable[[int], float]:
    """Accuracy by the list-wise objective where only the height of a peak tells the loss."""
    objective = ListwiseObjective()
    return lambda seed: held_out_accuracy(objective, peaks, seed, steps=60, learning_rate=1e-2, build=build)


RANKING = Margin(
    "LossNet, ranking loss, on absolute values: ranking accuracy", of_vectors(RankingObjective()), above=0.9
)
REGRESSION = Margin(
    "LossNet, regression loss, on absolute values: ranking accuracy", of_vectors(RegressionObjective()), above=0.9
)
SHUFFLED = Margin(
    "LossNet, shuffled losses, on absolute values", of_vectors(RankingObjective(), shuffle=True), below=0.75
)
LINEAR = Margin("LossNet without ReLU on absolute values", linear, below=0.75)
PLACES = Margin("multi-scale module on bright cells: ranking accuracy", of_places_from_two_starts, above=0.9)
MEANS = Margin(
    "LossNet on bright cells, whose means are equal", lambda seed: of_places(RankingObjective(), seed, 100), below=0.65
)
PEAKS = Margin("summary module on peaks: ranking accuracy", of_peaks(), above=0.95)
NO_PEAKS = Margin("LossNet on peaks, whose means are equal", of_peaks(LossNet.for_taps), below=0.75)
MARGINS = (RANKING, REGRESSION, SHUFFLED, LINEAR, PLACES, MEANS, PEAKS, NO_PEAKS)
