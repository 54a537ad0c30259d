"""Learning loss, and its ablation."""

from __future__ import annotations

from typing import ClassVar

from lossnet import RankingObjective, RegressionObjective
from strategies.base import Context, Kind, Selection, Strategy, highest
from tasks.training.loop import CoTrained


class LearningLoss(Strategy):
    """Picks the highest loss that the ranking LossNet predicts (Yoo & Kweon 2019, section 3)."""

    name: ClassVar[str] = "learning-loss"
    paper: ClassVar[str] = "Yoo & Kweon 2019"
    kind: ClassVar[Kind] = "loss prediction"
    reads: ClassVar[str] = "taps"
    cost: ClassVar[str] = "N"
    needs_lossnet: ClassVar[bool] = True

    def select(self, ctx: Context) -> Selection:
        """The candidates of highest predicted loss."""
        return highest(ctx, ctx.learner.predicted_losses(ctx.learner.lossnet, ctx.candidates))


class LearningLossMSE(Strategy):
    """The paper's ablation: the same module, trained to regress the loss instead of ranking it."""

    name: ClassVar[str] = "learning-loss-mse"
    paper: ClassVar[str] = "Yoo & Kweon 2019"
    kind: ClassVar[Kind] = "loss prediction"
    reads: ClassVar[str] = "taps"
    cost: ClassVar[str] = "N"

    def auxiliary(self, objective: RankingObjective) -> CoTrained:
        """A LossNet under mean squared error, weighted and detached as the ranking one is."""
        return RegressionObjective(objective.weight, objective.detach_after, taps=objective.taps)

    def select(self, ctx: Context) -> Selection:
        """The candidates of highest predicted loss."""
        return highest(ctx, ctx.learner.predicted_losses(ctx.learner.auxiliary, ctx.candidates))
