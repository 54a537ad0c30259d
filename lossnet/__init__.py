"""The loss-prediction module of "Learning Loss for Active Learning" (Yoo & Kweon, CVPR 2019), and its successor's.

Usable alone: it needs torch and a model's feature maps ("taps"), nothing else of Lossbench.
"""

from lossnet.listwise import ListwiseObjective, SummaryLossNet, list_likelihood_loss, summarized
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
    "divergence_loss",
    "hooked_taps",
    "list_likelihood_loss",
    "ranking_accuracy",
    "ranking_loss",
    "regression_loss",
    "summarized",
]
