"""All strategies of Lossbench. To add one, write a file in this folder and add its class here."""

from __future__ import annotations

from strategies.alfa_mix import AlfaMix
from strategies.alfa_mix_variants import AlfaMixKL, AlfaMixLearned, AlfaMixNorm, AlfaMixUniform
from strategies.badge import Badge
from strategies.bait import Bait
from strategies.balanced_random import BalancedRandom
from strategies.bald import Bald
from strategies.base import Strategy
from strategies.boss import BoSS
from strategies.cdal import CDAL
from strategies.clue import Clue
from strategies.committee import CommitteeDisagreement, CommitteeVoteEntropy, VariationRatio
from strategies.core_set import CoreSet
from strategies.deepfool import DeepFool
from strategies.dropquery import DropQuery
from strategies.entropy import Entropy
from strategies.falcun import Falcun
from strategies.gradient_length import ExpectedGradientLength
from strategies.graph import CoreGCN, UncertainGCN
from strategies.learning_loss import LearningLoss, LearningLossMSE
from strategies.learning_loss_clusters import LearningLossClusters
from strategies.learning_loss_herding import LearningLossHerding
from strategies.learning_loss_pp import LearningLossPlusPlus
from strategies.least_confidence import LeastConfidence
from strategies.margin import Margin
from strategies.max_herding import MaxHerding
from strategies.noise_stability import NoiseStability
from strategies.pal import PAL
from strategies.ppal import PPAL
from strategies.probcover import ProbCover
from strategies.random import Random
from strategies.ta_vaal import TAVAAL
from strategies.true_loss import TrueLoss
from strategies.typiclust import TypiClust
from strategies.uherding import UHerding
from strategies.vaal import VAAL
from strategies.vl4pose import VL4Pose

STRATEGIES: tuple[type[Strategy], ...] = (
    Random,
    BalancedRandom,
    LeastConfidence,
    Margin,
    Entropy,
    Bald,
    CommitteeVoteEntropy,
    CommitteeDisagreement,
    VariationRatio,
    ExpectedGradientLength,
    DeepFool,
    VL4Pose,
    CoreSet,
    TypiClust,
    ProbCover,
    MaxHerding,
    CDAL,
    Badge,
    UHerding,
    DropQuery,
    Clue,
    Bait,
    Falcun,
    NoiseStability,
    PPAL,
    LearningLoss,
    LearningLossMSE,
    LearningLossPlusPlus,
    LearningLossClusters,
    LearningLossHerding,
    AlfaMix,
    AlfaMixLearned,
    AlfaMixNorm,
    AlfaMixKL,
    AlfaMixUniform,
    PAL,
    VAAL,
    TAVAAL,
    CoreGCN,
    UncertainGCN,
    TrueLoss,
    BoSS,
)
COLD_STARTERS: tuple[str, ...] = tuple(strategy.name for strategy in STRATEGIES if strategy.cold_start)
"""Names of those that can pick before anything is labeled."""
