"""LearningLoss++."""

from __future__ import annotations

from typing import ClassVar

from lossnet import DivergenceObjective, RankingObjective
from strategies.base import Context, Kind, Selection, Strategy, highest
from tasks.training.loop import CoTrained


class LearningLossPlusPlus(Strategy):
    """Picks the highest loss that a multi-scale module predicts, trained by the divergence of pairs (Shukla & Ahmed 2021).

    The taps are detached in both tracks, as in the paper: the model never feels the module.
    """

    name: ClassVar[str] = "learning-loss-pp"
    paper: ClassVar[str] = "Shukla & Ahmed 2021"
    kind: ClassVar[Kind] = "loss prediction"
    reads: ClassVar[str] = "unpooled taps"
    cost: ClassVar[str] = "N"

    def auxiliary(self, objective: RankingObjective) -> CoTrained:  # noqa: ARG002 - nothing of it reaches the model
        """A multi-scale loss predictor."""
        return DivergenceObjective()

    def select(self, ctx: Context) -> Selection:
        """The candidates of highest predicted loss."""
        return highest(ctx, ctx.learner.predicted_losses(ctx.learner.auxiliary, ctx.candidates))
