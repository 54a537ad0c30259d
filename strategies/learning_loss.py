"""Learning loss, and its ablation by regression."""

from __future__ import annotations

from typing import ClassVar

from lossnet import RankingObjective, RegressionObjective
from strategies.base import Context, Kind, Selection, Strategy, highest
from tasks.training.step import CoTrained


class LearningLoss(Strategy):
    """Picks images with the highest loss predicted by the LossNet trained by ranking (Yoo & Kweon 2019, section 3)."""

    name: ClassVar[str] = "learning-loss"
    paper: ClassVar[str] = "Yoo & Kweon 2019"
    kind: ClassVar[Kind] = "loss prediction"
    reads: ClassVar[str] = "taps"
    cost: ClassVar[str] = "N"
    needs_lossnet: ClassVar[bool] = True

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of highest predicted loss."""
        return highest(ctx, ctx.learner.predicted_losses(ctx.learner.lossnet, ctx.candidates))


class LearningLossMSE(Strategy):
    """Picks images with the highest loss predicted by a LossNet trained by regression (Yoo & Kweon 2019, ablation)."""

    name: ClassVar[str] = "learning-loss-mse"
    paper: ClassVar[str] = "Yoo & Kweon 2019"
    kind: ClassVar[Kind] = "loss prediction"
    reads: ClassVar[str] = "taps"
    cost: ClassVar[str] = "N"

    def auxiliary(self, objective: RankingObjective) -> CoTrained:
        """A LossNet trained with mean squared error, with the weight, detach point and taps of the ranking LossNet."""
        return RegressionObjective(objective.weight, objective.detach_after, taps=objective.taps)

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of highest predicted loss."""
        return highest(ctx, ctx.learner.predicted_losses(ctx.learner.auxiliary, ctx.candidates))
