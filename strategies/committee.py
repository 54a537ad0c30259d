"""Query by committee: disagreement of models with different initial weights and orders of training images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from strategies.base import MOST_MODELS, Context, Kind, Selection, Strategy, highest
from strategies.kernels.information import disagreement, variation_ratio, vote_entropy, vote_shares
from tasks.base import Posteriors
from tasks.settings import Whole


class Committee(Strategy, ABC):
    """Picks images on which the members of a committee disagree most; subclasses define the disagreement.

    With several posterior rows per image it is the mean over the rows, weighted by their mean weight over the members.
    """

    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "posteriors of a committee"
    cost: ClassVar[str] = "training and forward pass of each member, N C per member"

    members: Whole = Field(default=3, ge=2, le=MOST_MODELS)
    """Number of models, each trained separately.

    Differs from the papers, which draw models from a posterior at little cost."""

    @property
    def committee_size(self) -> int:
        """The number of members."""
        return self.members

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of highest disagreement, with one forward pass per member."""
        streams = [learner.posteriors(ctx.candidates) for learner in ctx.committee]
        return highest(ctx, torch.cat([self.scores(predictions) for predictions in zip(*streams, strict=True)]))

    @abstractmethod
    def scores(self, predictions: Sequence[Posteriors]) -> Float[Tensor, " n"]:
        """The disagreement of the members' predictions, which are of the same images."""


class CommitteeVoteEntropy(Committee):
    """Picks images with the highest entropy of the committee's votes (Seung et al. 1992; Dagan & Engelson 1995).

    Differs from Dagan & Engelson in that their constant factor, which does not change the order, is left out.
    """

    name: ClassVar[str] = "committee-vote-entropy"
    paper: ClassVar[str] = "Dagan & Engelson 1995"

    def scores(self, predictions: Sequence[Posteriors]) -> Float[Tensor, " n"]:
        """The entropy of the votes."""
        return pooled(predictions, vote_entropy(vote_shares([posteriors.log_probs for posteriors in predictions])))


class CommitteeDisagreement(Committee):
    """Picks images with the largest mean KL divergence of the members from their mean (McCallum & Nigam 1998).

    Differs from the paper in that neither density weighting nor expectation maximization is added.
    """

    name: ClassVar[str] = "committee-disagreement"
    paper: ClassVar[str] = "McCallum & Nigam 1998"

    def scores(self, predictions: Sequence[Posteriors]) -> Float[Tensor, " n"]:
        """The mean Kullback-Leibler divergence from the mean prediction."""
        return disagreement(predictions)


class VariationRatio(Committee):
    """Picks images with the largest share of members that do not vote for the majority category (Beluch et al. 2018, section 3)."""

    name: ClassVar[str] = "variation-ratio"
    paper: ClassVar[str] = "Beluch et al. 2018"

    members: Whole = Field(default=5, ge=2, le=MOST_MODELS)
    """Beluch et al. 2018."""

    def scores(self, predictions: Sequence[Posteriors]) -> Float[Tensor, " n"]:
        """One minus the majority's share of the votes."""
        return pooled(predictions, variation_ratio(vote_shares([posteriors.log_probs for posteriors in predictions])))

    @classmethod
    def smoke(cls) -> VariationRatio:
        """Three members."""
        return cls(members=3)


def pooled(predictions: Sequence[Posteriors], rows: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    """The mean of one value per posterior row, weighted by the rows' mean weight over the predictions.

    It is added in float64, so that equal values give equal means whatever rows they are in.
    """
    weight = torch.stack([posteriors.weight for posteriors in predictions]).double().mean(0)
    return Posteriors(predictions[0].log_probs, weight, predictions[0].context).pooled(rows.double()).to(rows.dtype)
