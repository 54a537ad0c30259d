"""The loss-prediction module of "Learning Loss for Active Learning" (Yoo & Kweon, CVPR 2019).

Usable alone: it needs torch and a model's feature maps ("taps"), nothing else of Lossbench.
"""

from lossnet.module import LossNet
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
    "LossNet",
    "Objective",
    "RankingObjective",
    "RegressionObjective",
    "hooked_taps",
    "ranking_accuracy",
    "ranking_loss",
    "regression_loss",
]
