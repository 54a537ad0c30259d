"""Uncertainty by the likeliest category."""

from __future__ import annotations

from typing import ClassVar

import torch

from strategies.base import Context, Kind, Selection, Strategy, highest
from strategies.kernels.information import least_confidence


class LeastConfidence(Strategy):
    """Picks where the likeliest category is least likely (Lewis & Gale 1994; Settles 2009, section 3.1).

    An image with several distributions counts with their weighted mean.
    """

    name: ClassVar[str] = "least-confidence"
    paper: ClassVar[str] = "Settles 2009"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "posteriors"
    cost: ClassVar[str] = "N C"

    def select(self, ctx: Context) -> Selection:
        """The candidates of least confidence."""
        posteriors = ctx.learner.posteriors(ctx.candidates)
        return highest(ctx, torch.cat([each.pooled(least_confidence(each.log_probs)) for each in posteriors]))
