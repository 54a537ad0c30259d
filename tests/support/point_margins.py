"""Strategies on points: how much loss draws the centers, and how far a graph network and a learned alpha get."""

from __future__ import annotations

import numpy as np
import torch
from margin import Margin
from points import Line, context_of_losses, random_problem
from torch import Tensor
from torch.nn import functional

from strategies.alfa_mix_variants import AlfaMixLearned
from strategies.graph import CoreGCN, Graph, NodeOutputs, train_graph_network
from strategies.learning_loss_clusters import LearningLossClusters


def share_of_high_losses(power: float, seed: int) -> float:
    """Of 40 picks from 400 points all around, where the losses of one half are the higher ones; a mean of 20 draws."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(400, 2, generator=generator)
    high = points[:, 0] > points[:, 0].median()
    losses = high + 0.1 * torch.rand(400, generator=generator)
    strategy = LearningLossClusters(power=power)
    draws = range(20 * seed, 20 * seed + 20)
    picks = [strategy.select(context_of_losses(points, losses, 40, draw)).ids for draw in draws]
    return float(np.mean([high[each].float().mean() for each in picks]))


def gain_by_power(more: float, less: float, seed: int) -> float:
    """By how much the share of high losses rises with the power of the weight."""
    return share_of_high_losses(more, seed) - share_of_high_losses(less, seed)


def two_directions(seed: int) -> NodeOutputs:
    """What a graph network says of 20 labeled points of one direction and 20 others of another one."""
    features = functional.normalize(torch.tensor([[1.0, 0.1]] * 20 + [[0.1, 1.0]] * 20), dim=1)
    rng = np.random.default_rng(seed)
    return train_graph_network(Graph.of(features).propagate, features, 20, CoreGCN(learning_rate=0.02), rng)


def confidence_gap(seed: int) -> float:
    """Between the labeled point of the lowest confidence and the other point of the highest."""
    confidence = two_directions(seed).confidence
    return float(confidence[:20].min() - confidence[20:].max())


def share_of_raised_losses(seed: int) -> float:
    """Of 200 points whose loss five steps of a learned alpha raise."""
    points, means, weight, bias = random_problem(seed, count=200)
    head = Line(weight, bias).head
    targets, gap = head(points).argmax(1), means[0] - points

    def losses(alpha: Tensor) -> Tensor:
        return functional.cross_entropy(head(points + alpha * gap), targets, reduction="none")

    start = torch.full_like(points, 0.2)
    with torch.no_grad():
        before = losses(start)
    after = losses(AlfaMixLearned().learned_alpha(losses, start, 0.4))
    return float((after > before).float().mean())


EVEN = Margin(
    "learning-loss-clusters, power 0: share of high losses",
    lambda seed: share_of_high_losses(0.0, seed),
    above=0.42,
    below=0.58,
)
WEIGHED = Margin(
    "learning-loss-clusters, power 1: share of high losses",
    lambda seed: share_of_high_losses(1.0, seed),
    above=0.54,
    below=0.9,
)
MORE = Margin("learning-loss-clusters: gain of power 1 over 0", lambda seed: gain_by_power(1.0, 0.0, seed), above=0.0)
MOST = Margin("learning-loss-clusters: gain of power 6 over 1", lambda seed: gain_by_power(6.0, 1.0, seed), above=0.0)
GRAPH = Margin("graph network: gap in confidence between labeled and others", confidence_gap, above=0.3)
ALPHA = Margin("learned alpha: share of losses that it raises", share_of_raised_losses, above=0.9)
MARGINS = (EVEN, WEIGHED, MORE, MOST, GRAPH, ALPHA)
