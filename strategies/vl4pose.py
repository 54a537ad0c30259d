"""VL4Pose: poses that are unlikely under the distances of joints that the model's own features lead to expect."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adam

from strategies.base import Context, Kind, Selection, SelectionError, Strategy, finite, highest
from strategies.kernels.information import entropy
from strategies.kernels.networks import Epochs, train
from strategies.kernels.skeletons import (
    Places,
    distance_variances,
    edge_distances,
    expected_negative_log_likelihood,
    local_maxima,
    negative_log_likelihood,
    spanning_tree,
)
from tasks.base import Ids, Outputs, Posteriors
from tasks.settings import Number, Whole
from tasks.training.seeding import seeded

MOST_VARIANCE = 1.0
"""Of a distance, in squared sides of the map: none in a map varies more."""


class Poses(NamedTuple):
    """What is read of n images."""

    places: Places
    shown: Bool[Tensor, "n m"]
    """The rows of positive weight."""
    embeddings: Float[Tensor, "n d"]


class DistanceNetwork(nn.Module):
    """Gives the mean and the log-variance of the distance along each edge, from an image's embedding.

    Before it is trained it gives those of all images together.

    Args:
        embeddings: of the images on which it will be trained.
        distances: of the same images.
        shown: which of the distances count.
        hidden: units of each of the two hidden layers.
        least_variance: that it gives.
    """

    center: Tensor
    scale: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        embeddings: Float[Tensor, "n d"],
        distances: Float[Tensor, "n e"],
        shown: Bool[Tensor, "n e"],
        hidden: int,
        least_variance: float,
    ) -> None:
        super().__init__()
        edges = distances.shape[1]
        self.layers = nn.Sequential(
            nn.Linear(embeddings.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.last = nn.Linear(hidden, 2 * edges)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.log_bounds = math.log(least_variance), math.log(MOST_VARIANCE)
        spread = embeddings.std(0, correction=0)
        counts = shown.sum(0).clamp(min=1)
        means = torch.where(shown, distances, 0.0).sum(0) / counts
        variances = torch.where(shown, (distances - means).square(), 0.0).sum(0) / counts
        self.register_buffer("center", embeddings.mean(0))
        self.register_buffer("scale", torch.where(spread > 0, spread, 1.0))
        self.register_buffer("mean", means)
        self.register_buffer("deviation", variances.clamp(min=least_variance).sqrt())

    def forward(self, embeddings: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n e"], Float[Tensor, "n e"]]:
        """The means and log-variances."""
        shifts, log_factors = self.last(self.layers((embeddings - self.center) / self.scale)).chunk(2, 1)
        log_variances = (2 * self.deviation.log() + log_factors).clamp(*self.log_bounds)
        return self.mean + self.deviation * shifts, log_variances


class VL4Pose(Strategy):
    """Picks the images whose predicted pose is the least likely (Shukla et al. 2022).

    A pose is a tree of joints. A small network reads the image's embedding and gives, for each edge, the mean and the
    variance of a normal distribution of the distance of its two joints. The score is the expected negative log-likelihood
    of the pose, per joint: each joint is at the local maxima of its map in proportion to their heights, which adds their
    entropy, and each edge adds that of its distance.

    In rows: a joint is a row whose categories are the cells of a map. Rows of other tasks have no place, so that no tree is
    left, and what remains is the entropy of the rows, mean by weight: there it picks what `entropy` picks.

    Differs from the paper in that the network is not trained beside the model, on the annotated joints, which no strategy
    is told, but before each selection on the labeled images, with the model's own highest maxima in their place: the model
    was trained on these images.
    Differs from the paper in that no strategy is told the skeleton. The tree is the one under which the labeled images are
    the likeliest, if each distance has one mean and one variance: the minimum spanning tree of their log-variances.
    Differs from the paper in that a variance is at least that of rounding to cells, and at most 1.
    Differs from the authors' code, which adds up the log-likelihoods of all combinations of maxima, each with the
    log-probability of its own, by taking their expectation; and takes the softmax of heights as probabilities.
    """

    name: ClassVar[str] = "vl4pose"
    paper: ClassVar[str] = "Shukla et al. 2022"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "posteriors, embeddings"
    cost: ClassVar[str] = "N C; with maps also E L (D + hidden) hidden to train, E epochs"

    maxima: Whole = Field(default=5, ge=1, le=1000)
    """Of each map, at most; ours."""
    radius: Whole = Field(default=2, ge=1, le=1000)
    """Cells around a maximum that are not higher; ours."""
    hidden: Whole = Field(default=128, ge=1, le=65_536)
    """Units of each of the network's two hidden layers; ours."""
    epochs: Whole = Field(default=80, ge=1, le=100_000)
    """Over the labeled images (authors' configuration)."""
    batch: Whole = Field(default=16, ge=1, le=65_536)
    """Labeled images of a step (authors' configuration)."""
    learning_rate: Number = Field(default=3e-4, gt=0, le=1000)
    """Of Adam (authors' configuration)."""

    @classmethod
    def smoke(cls) -> VL4Pose:
        """Few epochs."""
        return cls(epochs=5)

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of highest expected negative log-likelihood.

        Raises:
            SelectionError: rows are maps, and no image is labeled.
        """
        (first,) = ctx.learner.posteriors(ctx.candidates[:1])
        if first.grid is None:
            batches = ctx.learner.posteriors(ctx.candidates)
            return highest(ctx, torch.cat([batch.pooled(entropy(batch.log_probs)) for batch in batches]))
        if len(ctx.labeled) == 0:
            msg = f"{self.name} learns the distances of joints from labeled images, and no image is labeled; label one"
            raise SelectionError(msg)
        edges, network = self._fitted(ctx, 1 / (12 * max(first.grid) ** 2))

        def scores(outputs: Outputs) -> Tensor:
            poses = self._poses(ctx, outputs)
            return unlikeliness(poses, edges, *network(poses.embeddings))

        return highest(ctx, ctx.learner.map(ctx.candidates, scores))

    def _fitted(self, ctx: Context, least_variance: float) -> tuple[Int[Tensor, "e 2"], DistanceNetwork]:
        """The tree, and a network that is trained on the labeled images."""
        poses = self._labeled(ctx)
        highest_places = poses.places.positions[:, :, :1]
        variances = distance_variances(highest_places.squeeze(2), poses.shown, least_variance)
        edges = spanning_tree(variances.log())
        distances = edge_distances(highest_places, edges).flatten(1)
        shown = poses.shown[:, edges].all(2)
        known = shown.any(0)  # of other edges nothing can be learned
        edges, distances, shown = edges[known], distances[:, known], shown[:, known]
        with seeded(ctx.rng), torch.enable_grad():
            network = DistanceNetwork(poses.embeddings, distances, shown, self.hidden, least_variance)
            network.to(distances.device)

            def loss(ids: Ids) -> Tensor:
                rows = torch.from_numpy(ids).to(distances.device)
                each = negative_log_likelihood(distances[rows], *network(poses.embeddings[rows]))
                return torch.where(shown[rows], each, 0.0).mean()

            if len(edges):
                epochs = Epochs(np.arange(len(distances)), self.batch, self.epochs, ctx.rng)
                train(Adam(network.parameters(), self.learning_rate), epochs, loss, "loss of the distances")
        return edges, network.requires_grad_(requires_grad=False)

    def _labeled(self, ctx: Context) -> Poses:
        """The poses of all labeled images."""
        parts: list[Poses] = []
        for _, outputs in ctx.learner.batches(ctx.labeled):
            with torch.no_grad():
                parts.append(self._poses(ctx, outputs))
        positions, probs = (torch.cat(each) for each in zip(*(part.places for part in parts), strict=True))
        return Poses(
            Places(positions, probs),
            torch.cat([part.shown for part in parts]),
            torch.cat([part.embeddings for part in parts]),
        )

    def _poses(self, ctx: Context, outputs: Outputs) -> Poses:
        posteriors: Posteriors = ctx.learner.task.posteriors(outputs.raw)
        if posteriors.grid is None:
            msg = "some rows are maps and others are not"
            raise SelectionError(msg)
        shown = finite(posteriors.weight, "weights of rows") > 0
        probs = torch.where(shown.unsqueeze(2), posteriors.log_probs.exp(), 1.0)
        places = local_maxima(finite(probs, "posteriors"), posteriors.grid, self.maxima, self.radius)
        return Poses(places, shown, finite(ctx.learner.task.embed(outputs), "embeddings"))


def unlikeliness(
    poses: Poses, edges: Int[Tensor, "e 2"], means: Float[Tensor, "n e"], log_variances: Float[Tensor, "n e"]
) -> Float[Tensor, " n"]:
    """The expected negative log-likelihood of poses, per joint; joints and edges that are not shown add nothing."""
    joints = torch.special.entr(poses.places.probs).sum(2)
    links = expected_negative_log_likelihood(poses.places, edges, means, log_variances)
    both = poses.shown[:, edges].all(2)
    total = torch.where(poses.shown, joints, 0.0).sum(1) + torch.where(both, links, 0.0).sum(1)
    return total / poses.shown.sum(1).clamp(min=1)
