"""CLUE: clusters weighted by uncertainty."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.clustering import k_means, nearest_to_centers
from strategies.kernels.information import entropy
from strategies.kernels.rows import descending, filled
from tasks.base import Posteriors
from tasks.settings import Number

LEAST_WEIGHT = 1e-8
"""Added to the entropies, so that k-means has a weight where the model is sure; the authors' code adds it to the
probabilities."""


class Clue(Strategy):
    """Picks the images nearest to the centers of a k-means weighted by entropy (Prabhu et al. 2021, algorithm 1).

    The entropy is that of the softmax under a temperature. With several posterior rows per image it is the mean over the
    rows, weighted by their weight.

    Differs from the authors' code in that an image is picked once, as the nearest of its own cluster; if clusters are
    empty, the images of highest entropy follow. There a center whose nearest image is picked already takes its next.
    Differs from the authors' code in that k-means makes one start of at most 20 iterations, with first centers among at most
    16,384 images.
    """

    name: ClassVar[str] = "clue"
    paper: ClassVar[str] = "Prabhu et al. 2021"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "posteriors, embeddings"
    cost: ClassVar[str] = "N C + 20 N K D"

    temperature: Number = Field(default=1.0, gt=1e-3, le=1000)
    """Of the softmax; 1, the plain softmax, is ours. The authors' code notes that values from 0.1 to 0.5 mostly work better."""

    def select(self, ctx: Context) -> Selection:
        """Pick the images nearest to the centers; if clusters are empty, continue with the highest entropies."""
        task = ctx.learner.task
        points, entropies = ctx.learner.map_all(
            ctx.candidates,
            lambda outputs: (task.embed(outputs), softened_entropy(task.posteriors(outputs.raw), self.temperature)),
        )
        points, weights = finite(points, "embeddings"), finite(entropies, "entropies") + LEAST_WEIGHT
        with ctx.learner.clock.phase("pick"):
            rows = nearest_to_centers(k_means(points, ctx.budget, ctx.rng, weights=weights))
            return ctx.pick(filled(rows, descending(weights, ctx.rng), ctx.budget))


def softened_entropy(posteriors: Posteriors, temperature: float) -> Float[Tensor, " n"]:
    """The mean entropy of each image's rows under a temperature."""
    return posteriors.pooled(entropy((posteriors.log_probs / temperature).log_softmax(2)))
