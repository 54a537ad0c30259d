"""Least confidence: the probability of the most probable category."""

from __future__ import annotations

from typing import ClassVar

import torch

from strategies.base import Context, Kind, Selection, Strategy, highest
from strategies.kernels.information import least_confidence


class LeastConfidence(Strategy):
    """Picks images whose largest probability is the smallest (Lewis & Gale 1994; Settles 2009, section 3.1).

    With several posterior rows per image the score is their weighted mean.
    """

    name: ClassVar[str] = "least-confidence"
    paper: ClassVar[str] = "Settles 2009"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "posteriors"
    cost: ClassVar[str] = "N C"

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of least confidence."""
        posteriors = ctx.learner.posteriors(ctx.candidates)
        return highest(ctx, torch.cat([batch.pooled(least_confidence(batch.log_probs)) for batch in posteriors]))
