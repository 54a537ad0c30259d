"""Labeled or not, as a graph network sees it: CoreGCN and UncertainGCN."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from strategies.base import Context, Kind, Selection, SelectionError, Strategy, highest, unit_embeddings
from strategies.kernels.geometry import greedy_k_center
from tasks.training.seeding import seeded

LEAST_SIMILARITY = 1e-3
"""Mean similarity to all others below which a node keeps to itself: a degree near 0 would blow its neighbors up."""
Spread = Callable[[Tensor], Tensor]
"""X to A X: what each node hears of numbers that lie at all nodes."""


class Graph(NamedTuple):
    """Nodes joined by the inner products of their features, A = D^-1 (S - I) + I, which is never formed.

    S = F F^T, so that A X takes two thin products, O(n d c) in time and memory instead of O(n^2 c).
    D is the degree, each row's sum of S - I. (The authors' code multiplies by D^-1 from the right.)
    """

    features: Float[Tensor, "n d"]
    """Of length 1, or 0."""
    own: Float[Tensor, "n 1"]
    """Similarity of each node to itself, taken off again: 1, or 0."""
    scale: Float[Tensor, "n 1"]
    """D^-1; 0 where a node keeps to itself."""

    @classmethod
    def of(cls, features: Float[Tensor, "n d"]) -> Graph:
        """The graph of unit vectors.

        Differs from the paper in that a node whose similarities to all others are below 0.001 in the mean, or negative,
        is connected to itself alone: its degree would not be one to divide by.
        """
        own = features.square().sum(1, keepdim=True)
        degrees = cls(features, own, torch.ones_like(own)).heard(torch.ones_like(own))
        enough = degrees > LEAST_SIMILARITY * max(len(features) - 1, 1)
        return cls(features, own, torch.where(enough, degrees.reciprocal(), 0.0))

    def heard(self, signal: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """D^-1 (S - I) X: what the others say."""
        return self.scale * (self.features @ (self.features.T @ signal) - self.own * signal)

    def spread(self, signal: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """A X."""
        return self.heard(signal) + signal


class GraphNetwork(nn.Module):
    """Two graph convolutions: a ReLU layer, and the confidence that a node is labeled, as a logit."""

    def __init__(self, inward: int, hidden: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inward, hidden), nn.Linear(hidden, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(1))

    def hidden(self, spread_features: Float[Tensor, "n d"]) -> Float[Tensor, "n h"]:
        """The first layer, on A F: it is the same in every epoch, and made once."""
        return functional.relu(self.first(spread_features))

    def logits(self, hidden: Float[Tensor, "n h"], spread: Spread) -> Float[Tensor, " n"]:
        """The second layer; A (H w) instead of (A H) w, on one column instead of all."""
        return spread(self.last(hidden)).squeeze(1) + self.bias


class Nodes(NamedTuple):
    """What a trained graph network says of each node, labeled ones first."""

    confidence: Float[Tensor, " n"]
    """That the node is labeled, in [0, 1]."""
    hidden: Float[Tensor, "n h"]


class GraphStrategy(Strategy):
    """The part that CoreGCN and UncertainGCN share."""

    paper: ClassVar[str] = "Caramalau et al. 2021"
    reads: ClassVar[str] = "embeddings"

    hidden: int = Field(default=128, ge=1)
    """Size of the hidden layer (the paper)."""
    hidden_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Rate of dropout on the hidden layer while the graph network trains (the paper)."""
    epochs: int = Field(default=200, ge=1)
    """Steps on the whole graph (the authors' code)."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Adam's (the paper)."""
    weight_decay: float = Field(default=5e-4, ge=0)
    """Adam's (the paper)."""
    unlabeled_weight: float = Field(default=1.2, ge=0)
    """What the cross-entropy of unlabeled nodes counts against that of labeled ones (the paper's lambda)."""
    most_candidates: int = Field(default=20_000, ge=1)
    """Of more, a random subset; the paper draws 10,000."""

    @classmethod
    def smoke(cls) -> GraphStrategy:
        """Trained for a moment, and on a subset."""
        return cls(epochs=10, most_candidates=20)

    def nodes(self, ctx: Context) -> Nodes:
        """The graph network's outputs, trained on the labeled images and all candidates of this context.

        Raises:
            SelectionError: nothing is labeled, or a number of an embedding is not finite.
        """
        if len(ctx.labeled) == 0:
            msg = f"{self.name} learns to tell labeled images from others, and no image is labeled; label one"
            raise SelectionError(msg)
        graph = Graph.of(unit_embeddings(ctx, np.concatenate([ctx.labeled, ctx.candidates])))
        return graph_network_outputs(graph.spread, graph.features, len(ctx.labeled), self, ctx.rng)


class CoreGCN(GraphStrategy):
    """Greedy k-center on the hidden layer of a graph network that tells labeled from unlabeled (Caramalau et al. 2021).

    Core-set on the first layer of a network that is trained anew in every round.
    Differs from the paper in that the graph holds up to 20,000 candidates, not 10,000.
    """

    name: ClassVar[str] = "core-gcn"
    kind: ClassVar[Kind] = "diversity"
    cost: ClassVar[str] = "(N + L) D (200 hidden + D) + (L + K) N hidden, N at most 20,000"

    def select(self, ctx: Context) -> Selection:
        """One by one, the candidate farthest from everything labeled or picked; its distance is its score."""
        ctx = ctx.narrowed(self.most_candidates)
        hidden, labeled = self.nodes(ctx).hidden, len(ctx.labeled)
        with ctx.learner.clock.phase("pick"):
            rows, distances = greedy_k_center(hidden[labeled:], hidden[:labeled], ctx.budget)
            return ctx.pick(rows, distances)


class UncertainGCN(GraphStrategy):
    """Picks what a graph network holds for unlabeled, but not quite (Caramalau et al. 2021).

    The confidence that an image is labeled lies nearest to a margin, by a network that is trained anew in every round.
    Differs from the paper in that the graph holds up to 20,000 candidates, not 10,000.
    """

    name: ClassVar[str] = "uncertain-gcn"
    kind: ClassVar[Kind] = "uncertainty"
    cost: ClassVar[str] = "(N + L) D (200 hidden + D), N at most 20,000"

    margin: float = Field(default=0.1, ge=0, le=1)
    """The confidence that is wanted (the paper's s_margin)."""

    def select(self, ctx: Context) -> Selection:
        """The candidates whose confidence of being labeled is nearest to the margin."""
        ctx = ctx.narrowed(self.most_candidates)
        return highest(ctx, -(self.nodes(ctx).confidence[len(ctx.labeled) :] - self.margin).abs())


def graph_network_outputs(
    spread: Spread, features: Float[Tensor, "n d"], labeled: int, settings: GraphStrategy, rng: np.random.Generator
) -> Nodes:
    """What a graph network says that is trained to tell the first `labeled` nodes from the others.

    By cross-entropy, each side averaged, that of the unlabeled weighted. Weights and masks follow from `rng`; they are the same in every precision.
    """
    with seeded(rng):
        network = GraphNetwork(features.shape[1], settings.hidden)
    network.to(features)
    masks = torch.Generator(features.device).manual_seed(int(rng.integers(2**63)))
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    around = spread(features)
    for _ in range(settings.epochs):
        hidden = network.hidden(around)
        kept = torch.rand(hidden.shape, generator=masks, device=hidden.device) >= settings.hidden_dropout
        logits = network.logits(hidden * kept / (1 - settings.hidden_dropout), spread)
        loss = functional.softplus(-logits[:labeled]).mean()
        if labeled < len(logits):
            loss = loss + settings.unlabeled_weight * functional.softplus(logits[labeled:]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        hidden = network.hidden(around)
        return Nodes(network.logits(hidden, spread).sigmoid(), hidden)
