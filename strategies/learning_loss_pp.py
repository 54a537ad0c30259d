"""LearningLoss++: a multi-scale loss predictor."""

from __future__ import annotations

from typing import ClassVar

from lossnet import DivergenceObjective, RankingObjective
from strategies.base import Context, Kind, Selection, Strategy, highest
from tasks.training.step import CoTrained


class LearningLossPlusPlus(Strategy):
    """Picks images with the highest loss predicted by LearningLoss++ (Shukla & Ahmed 2021, section 4).

    Its multi-scale module is trained by the divergence of pairs of losses. The taps are detached in both tracks, as in
    the paper: the module's gradients never reach the model. On a stacked hourglass it reads the maps inside the last stack's
    hourglass at all resolutions, as in the paper, and on all other models their taps.

    Differs from the authors' code in that a pose's loss is divided by the number of all joints, not of those annotated: it is
    the task's own loss.
    """

    name: ClassVar[str] = "learning-loss-pp"
    paper: ClassVar[str] = "Shukla & Ahmed 2021"
    kind: ClassVar[Kind] = "loss prediction"
    reads: ClassVar[str] = "unpooled taps"
    cost: ClassVar[str] = "N"

    def auxiliary(self, objective: RankingObjective) -> CoTrained:  # noqa: ARG002 - the module is always detached
        """A multi-scale loss predictor on detached taps."""
        return DivergenceObjective()

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of highest predicted loss."""
        return highest(ctx, ctx.learner.predicted_losses(ctx.learner.auxiliary, ctx.candidates))
