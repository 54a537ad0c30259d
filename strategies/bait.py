"""BAIT: a batch that lowers the bound on the error of the last layer, by its Fisher information."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from strategies.base import Context, Kind, Selection, SelectionError, Strategy, finite
from strategies.kernels.fisher import FisherBatch, fisher_picks
from strategies.kernels.information import least_confidence
from tasks.base import Ids, Posteriors
from tasks.settings import MOST_IMAGES, Number, Whole


class Bait(Strategy):
    """Picks the batch that lowers tr(F A^-1) most, by forward selection and backward removal (Ash et al. 2021).

    F is the mean Fisher information of all images in the last layer, A that of the labeled and picked ones. With the
    binary approximation of Huseljic et al. (2024) the information of an image with embedding z is p (1 - p) z z^T, where p
    is its largest probability: a matrix of D x D numbers and of rank one, whatever the number of categories.

    With several posterior rows per image p (1 - p) is the mean over the rows, weighted by their weight, and z the image's
    embedding.

    Differs from the paper in that approximation, and Huseljic et al.'s other one, the expectation over the likeliest
    categories, is not offered: it takes matrices of D C x D C numbers.
    Differs from the papers in that with more candidates than `most_candidates` a random subset of them is used.
    """

    name: ClassVar[str] = "bait"
    paper: ClassVar[str] = "Ash et al. 2021"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "posteriors, embeddings"
    cost: ClassVar[str] = "N D^2 + 3 K (N D + D^2), N at most 100,000"

    ridge: Number = Field(default=1.0, gt=0, le=1e6)
    """Added to the diagonal of A (the paper's lambda; authors' code)."""
    oversampling: Number = Field(default=2.0, ge=1, le=100)
    """As many times the budget are picked, and the surplus is removed (the paper)."""
    most_candidates: Whole = Field(default=100_000, ge=1, le=MOST_IMAGES)
    """Larger pools are reduced to a random subset of this size; ours."""

    def select(self, ctx: Context) -> Selection:
        """Pick one by one the candidate that lowers the trace most, at random if equal, and remove the surplus.

        Raises:
            SelectionError: the embeddings are so long that their Fisher information has no inverse in float32.
        """
        candidates, labeled = ctx.rng.permutation(ctx.narrowed(self.most_candidates).candidates), len(ctx.labeled)
        vectors = _vectors(ctx, np.concatenate([ctx.labeled, candidates]))
        with ctx.learner.clock.phase("pick"):
            pool, known = (gram(part) for part in (vectors, vectors[:labeled]))
            total = labeled + ctx.budget
            start = known / total + self.ridge * torch.eye(len(known), dtype=known.dtype, device=known.device)
            scaled = vectors[labeled:] * (ctx.budget / total) ** 0.5  # as in the authors' code
            try:
                batch = FisherBatch(scaled, start, pool / len(vectors))
            except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
                longest = float(vectors.norm(dim=1).max())
                msg = f"bait: embeddings as long as {longest:.2g} round to no Fisher information that has an inverse; raise ridge"
                raise SelectionError(msg) from None
            rows = fisher_picks(batch, ctx.budget, self.oversampling)
            return Selection(candidates[rows.cpu().numpy()])


def _vectors(ctx: Context, ids: Ids) -> Float[Tensor, "n d"]:
    """The vector of each image, whose product with itself is the image's information."""
    task = ctx.learner.task
    vectors = ctx.learner.map(
        ids, lambda outputs: task.embed(outputs) * binary_information(task.posteriors(outputs.raw)).sqrt().unsqueeze(1)
    )
    return finite(vectors, "Fisher information")


def binary_information(posteriors: Posteriors) -> Float[Tensor, " n"]:
    """The mean of p (1 - p) over each image's rows, p the largest probability; exact next to 1."""
    uncertain = least_confidence(posteriors.log_probs)
    return posteriors.pooled(uncertain * (1 - uncertain))


def gram(vectors: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """The sum of the products of each vector with itself, added in float64."""
    total = vectors.new_zeros(vectors.shape[1], vectors.shape[1], dtype=torch.float64)
    for part in vectors.split(4096):
        total += part.T @ part
    return total
