"""CoreGCN and UncertainGCN: a graph network learns to tell labeled from unlabeled images."""

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
from tasks.settings import MOST_IMAGES, Number, Whole
from tasks.training.seeding import seeded

LEAST_SIMILARITY = 1e-3
"""A node with a lower mean similarity to all other nodes gets no edges: a degree near 0 gives huge edge weights."""
Propagation = Callable[[Tensor], Tensor]
"""Maps node features X to A X, the product with the normalized adjacency matrix: one step of message passing."""


class Graph(NamedTuple):
    """A similarity graph with the normalized adjacency matrix A = D^-1 (S - I) + I, which is never formed.

    S = F F^T are the inner products of the node features F, and D is the diagonal matrix of the degrees, the row sums
    of S - I. A X takes two products with F, O(n d c) in time and memory instead of O(n^2 c). (The authors' code
    multiplies by D^-1 from the right.)
    """

    features: Float[Tensor, "n d"]
    """F; each of norm 1, or 0."""
    self_similarity: Float[Tensor, "n 1"]
    """The diagonal of S: 1, or 0 for a feature of 0."""
    inverse_degree: Float[Tensor, "n 1"]
    """The diagonal of D^-1; 0 for a node without edges."""

    @classmethod
    def of(cls, features: Float[Tensor, "n d"]) -> Graph:
        """The graph of nodes with these features, each of norm 1 or 0.

        Differs from the paper in that a node whose mean similarity to all other nodes is below 0.001, or negative, has
        no edges except to itself: dividing by its degree would make no sense.
        """
        self_similarity = features.square().sum(1, keepdim=True)
        ones = torch.ones_like(self_similarity)
        degrees = cls(features, self_similarity, ones).neighbor_mean(ones)  # with D = I the mean is the sum
        connected = degrees > LEAST_SIMILARITY * max(len(features) - 1, 1)
        return cls(features, self_similarity, torch.where(connected, degrees.reciprocal(), 0.0))

    def neighbor_mean(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """D^-1 (S - I) X: the mean over each node's neighbors, weighted by similarity."""
        return self.inverse_degree * (self.features @ (self.features.T @ values) - self.self_similarity * values)

    def propagate(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """A X: each node's own values plus the mean over its neighbors."""
        return self.neighbor_mean(values) + values


class GraphNetwork(nn.Module):
    """Two graph convolutions: a hidden layer with ReLU, and the logit that a node is labeled."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, hidden), nn.Linear(hidden, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(1))

    def hidden(self, propagated_features: Float[Tensor, "n d"]) -> Float[Tensor, "n h"]:
        """The hidden layer H, from A F, which is computed once because it is the same in every epoch."""
        return functional.relu(self.first(propagated_features))

    def logits(self, hidden: Float[Tensor, "n h"], propagate: Propagation) -> Float[Tensor, " n"]:
        """The second layer, as A (H w) instead of (A H) w: message passing on one column instead of all."""
        return propagate(self.last(hidden)).squeeze(1) + self.bias


class NodeOutputs(NamedTuple):
    """Outputs of a trained graph network: n nodes, the labeled ones first."""

    confidence: Float[Tensor, " n"]
    """Probability that the node is labeled."""
    hidden: Float[Tensor, "n h"]
    """The hidden layer."""


class GraphStrategy(Strategy):
    """Base class of CoreGCN and UncertainGCN: trains the graph network."""

    paper: ClassVar[str] = "Caramalau et al. 2021"
    reads: ClassVar[str] = "embeddings"

    hidden: Whole = Field(default=128, ge=1, le=65_536)
    """Size of the hidden layer (the paper)."""
    hidden_dropout: Number = Field(default=0.3, ge=0, lt=1)
    """Dropout rate on the hidden layer while the graph network trains (the paper)."""
    epochs: Whole = Field(default=200, ge=1, le=100_000)
    """Steps on the whole graph (the authors' code)."""
    learning_rate: Number = Field(default=1e-3, gt=0, le=1000)
    """Of Adam (the paper)."""
    weight_decay: Number = Field(default=5e-4, ge=0, le=100)
    """Of Adam (the paper)."""
    unlabeled_weight: Number = Field(default=1.2, ge=0, le=1e6)
    """Weight of the cross-entropy of unlabeled nodes (the paper's lambda)."""
    most_candidates: Whole = Field(default=20_000, ge=1, le=MOST_IMAGES)
    """Larger pools are reduced to a random subset of this size; the paper draws 10,000."""

    @classmethod
    def smoke(cls) -> GraphStrategy:
        """Few epochs on a small subset."""
        return cls(epochs=10, most_candidates=20)

    def node_outputs(self, ctx: Context) -> NodeOutputs:
        """Train a graph network on the labeled images and all candidates of this context, and return its outputs.

        Raises:
            SelectionError: no image is labeled, or an embedding is not finite.
        """
        if len(ctx.labeled) == 0:
            msg = f"{self.name} learns to tell labeled images from unlabeled ones, and no image is labeled; label one"
            raise SelectionError(msg)
        graph = Graph.of(unit_embeddings(ctx, np.concatenate([ctx.labeled, ctx.candidates])))
        return train_graph_network(graph.propagate, graph.features, len(ctx.labeled), self, ctx.rng)


class CoreGCN(GraphStrategy):
    """Picks images by greedy k-center on the hidden layer of a graph network (Caramalau et al. 2021, CoreGCN).

    The network learns to tell labeled from unlabeled images, and is trained anew in every round.

    Differs from the paper in that the graph holds up to 20,000 candidates, not 10,000.
    Differs from the authors' code in that the layers start from torch's default of a linear layer, instead of uniform
    numbers up to one over the square root of their outputs.
    """

    name: ClassVar[str] = "core-gcn"
    kind: ClassVar[Kind] = "diversity"
    cost: ClassVar[str] = "(N + L) D (200 hidden + D) + (L + K) N hidden, N at most 20,000"

    def select(self, ctx: Context) -> Selection:
        """Pick one by one the candidate farthest from all labeled and picked images; the score is its distance."""
        ctx = ctx.narrowed(self.most_candidates)
        hidden, labeled = self.node_outputs(ctx).hidden, len(ctx.labeled)
        with ctx.learner.clock.phase("pick"):
            rows, distances = greedy_k_center(hidden[labeled:], hidden[:labeled], ctx.budget)
            return ctx.pick(rows, distances)


class UncertainGCN(GraphStrategy):
    """Picks images whose confidence of being labeled is nearest to a margin (Caramalau et al. 2021, UncertainGCN).

    The confidence is that of a graph network that learns to tell labeled from unlabeled images, and is trained anew in
    every round.

    Differs from the paper in that the graph holds up to 20,000 candidates, not 10,000.
    Differs from the authors' code in that the layers start from torch's default of a linear layer, instead of uniform
    numbers up to one over the square root of their outputs.
    """

    name: ClassVar[str] = "uncertain-gcn"
    kind: ClassVar[Kind] = "uncertainty"
    cost: ClassVar[str] = "(N + L) D (200 hidden + D), N at most 20,000"

    margin: Number = Field(default=0.1, ge=0, le=1)
    """The target confidence (the paper's s_margin)."""

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates whose confidence is nearest to the margin; the score is minus the difference."""
        ctx = ctx.narrowed(self.most_candidates)
        return highest(ctx, -(self.node_outputs(ctx).confidence[len(ctx.labeled) :] - self.margin).abs())


def train_graph_network(
    propagate: Propagation,
    features: Float[Tensor, "n d"],
    labeled: int,
    settings: GraphStrategy,
    rng: np.random.Generator,
) -> NodeOutputs:
    """Train a graph network to tell labeled from unlabeled nodes, and return its outputs.

    The loss is the mean cross-entropy of the labeled nodes plus the weighted mean cross-entropy of the unlabeled ones.
    Initial weights and dropout masks are drawn in float32, whatever the precision of the features.

    Args:
        propagate: the product with the normalized adjacency matrix.
        features: of the nodes, the labeled ones first.
        labeled: number of labeled nodes.
        settings: hyper-parameters.
        rng: determines initial weights and dropout masks.
    """
    with seeded(rng):
        network = GraphNetwork(features.shape[1], settings.hidden)
    network.to(features)
    masks = torch.Generator(features.device).manual_seed(int(rng.integers(2**63)))
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    propagated = propagate(features)
    for _ in range(settings.epochs):
        hidden = network.hidden(propagated)
        kept = torch.rand(hidden.shape, generator=masks, device=hidden.device) >= settings.hidden_dropout
        logits = network.logits(hidden * kept / (1 - settings.hidden_dropout), propagate)
        loss = functional.softplus(-logits[:labeled]).mean()
        if labeled < len(logits):
            loss = loss + settings.unlabeled_weight * functional.softplus(logits[labeled:]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        hidden = network.hidden(propagated)
        return NodeOutputs(network.logits(hidden, propagate).sigmoid(), hidden)
