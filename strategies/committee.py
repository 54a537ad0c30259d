"""Disagreement of models that were trained alike from different weights and orders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, highest
from strategies.kernels.information import disagreement, variation_ratio, vote_entropy, vote_shares
from tasks.base import Posteriors


class Committee(Strategy, ABC):
    """Picks where the members of a committee disagree most.

    An image with several distributions counts with their mean, weighted by the mean weight over the members.
    """

    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "posteriors of a committee"
    cost: ClassVar[str] = "trains and forwards each member, N C per member"

    members: int = Field(default=3, ge=2)
    """Differs from the papers, which draw models from a posterior at little cost: each of these is a training."""

    @property
    def committee_size(self) -> int:
        """As many as there are members."""
        return self.members

    def select(self, ctx: Context) -> Selection:
        """The candidates of highest disagreement; a forward pass per member, since they share no layer."""
        streams = [learner.posteriors(ctx.candidates) for learner in ctx.committee]
        return highest(ctx, torch.cat([self.scores(predictions) for predictions in zip(*streams, strict=True)]))

    @abstractmethod
    def scores(self, predictions: Sequence[Posteriors]) -> Float[Tensor, " n"]:
        """How far the members' predictions of the same images disagree."""


class CommitteeVoteEntropy(Committee):
    """Query by committee (Seung et al. 1992), by the entropy of the members' votes (Dagan & Engelson 1995).

    Differs from Dagan & Engelson in that their constant factor, which changes no order, is left out.
    """

    name: ClassVar[str] = "committee-vote-entropy"
    paper: ClassVar[str] = "Dagan & Engelson 1995"

    def scores(self, predictions: Sequence[Posteriors]) -> Float[Tensor, " n"]:
        """The entropy of the votes."""
        return pooled(predictions, vote_entropy(vote_shares([each.log_probs for each in predictions])))


class CommitteeDisagreement(Committee):
    """Query by committee, by the mean Kullback-Leibler divergence from the mean prediction (McCallum & Nigam 1998).

    Differs from the paper in that neither density weighting nor expectation maximisation is added.
    """

    name: ClassVar[str] = "committee-disagreement"
    paper: ClassVar[str] = "McCallum & Nigam 1998"

    def scores(self, predictions: Sequence[Posteriors]) -> Float[Tensor, " n"]:
        """The mean divergence from the mean prediction."""
        return disagreement(predictions)


class VariationRatio(Committee):
    """Picks where the fewest members of an ensemble vote with the most (Beluch et al. 2018, section 3)."""

    name: ClassVar[str] = "variation-ratio"
    paper: ClassVar[str] = "Beluch et al. 2018"

    members: int = Field(default=5, ge=2)
    """Beluch et al. 2018."""

    def scores(self, predictions: Sequence[Posteriors]) -> Float[Tensor, " n"]:
        """The share of members that do not vote with the most."""
        return pooled(predictions, variation_ratio(vote_shares([each.log_probs for each in predictions])))

    @classmethod
    def smoke(cls) -> VariationRatio:
        """Three members."""
        return cls(members=3)


def pooled(predictions: Sequence[Posteriors], rows: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    """One number per image from one per row, by the mean weight of the row over the predictions."""
    weight = torch.stack([each.weight for each in predictions]).mean(0)
    return Posteriors(predictions[0].log_probs, weight, predictions[0].context).pooled(rows)
