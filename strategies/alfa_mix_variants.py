"""Variants of ALFA-Mix: a learned alpha, and the ablations of how unstable images are chosen (Parvaneh et al. 2022)."""

from __future__ import annotations

from typing import ClassVar, Literal

from strategies.alfa_mix import AlfaMix
from strategies.base import Kind


class AlfaMixLearned(AlfaMix):
    """Picks as ALFA-Mix does, with a learned alpha (Parvaneh et al. 2022, section 3.1).

    Alpha is learned element by element, for every anchor.

    Differs from the authors' code in that predictions are compared once alpha is learned, not at every step of Adam.
    Differs from the authors' code in that one Adam takes all steps of an alpha; there each step has a new one, without
    the running means of the steps before.
    """

    name: ClassVar[str] = "alfa-mix-learned"
    cost: ClassVar[str] = "25 G N passes of the head + 20 N K D, G groups"

    alpha: Literal["closed form", "learned"] = "learned"

    @classmethod
    def smoke(cls) -> AlfaMixLearned:
        """One cap, one step."""
        return cls(caps=(1.0,), steps=1)


class AlfaMixNorm(AlfaMix):
    """Picks images whose category changes under the smallest move of feature mixing (Parvaneh et al. 2022, ablation).

    Differs from the paper in that the norm is that of the move, alpha (z* - z), and not of alpha: the closed form
    divides by z* - z, which may be 0.
    """

    name: ClassVar[str] = "alfa-mix-norm"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "features, head, pseudo-targets, labeled groups"
    cost: ClassVar[str] = "N D C"

    spread: Literal["clustering", "norm", "kl", "uniform"] = "norm"


class AlfaMixKL(AlfaMix):
    """Picks images whose prediction changes category, and most, under feature mixing (Parvaneh et al. 2022, ablation).

    The change is the symmetric Kullback-Leibler divergence between the predictions before and after the shortest move
    that changes the category.
    """

    name: ClassVar[str] = "alfa-mix-kl"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "features, head, pseudo-targets, labeled groups"
    cost: ClassVar[str] = "N D C"

    spread: Literal["clustering", "norm", "kl", "uniform"] = "kl"


class AlfaMixUniform(AlfaMix):
    """Picks random images among those whose category changes under feature mixing (Parvaneh et al. 2022, ablation)."""

    name: ClassVar[str] = "alfa-mix-uniform"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "features, head, pseudo-targets, labeled groups"
    cost: ClassVar[str] = "N D C"

    spread: Literal["clustering", "norm", "kl", "uniform"] = "uniform"
