"""The loss-prediction module of "Learning Loss for Active Learning" (Yoo & Kweon, CVPR 2019), and later variants.

It can be used without the rest of Lossbench: all it needs is torch and a model's feature maps ("taps").
"""

from lossnet.listwise import ListwiseObjective, SummaryLossNet, channel_statistics, list_likelihood_loss
from lossnet.module import LossNet, LossPredictor, TapError
from lossnet.multiscale import DivergenceObjective, MultiScaleLossNet, divergence_loss
from lossnet.objectives import (
    Objective,
    RankingObjective,
    RegressionObjective,
    ranking_accuracy,
    ranking_loss,
    regression_loss,
)
from lossnet.taps import hooked_taps

__all__ = [
    "DivergenceObjective",
    "ListwiseObjective",
    "LossNet",
    "LossPredictor",
    "MultiScaleLossNet",
    "Objective",
    "RankingObjective",
    "RegressionObjective",
    "SummaryLossNet",
    "TapError",
    "channel_statistics",
    "divergence_loss",
    "hooked_taps",
    "list_likelihood_loss",
    "ranking_accuracy",
    "ranking_loss",
    "regression_loss",
]
