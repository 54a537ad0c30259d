"""Uncertainty by the two likeliest categories."""

from __future__ import annotations

from typing import ClassVar

import torch

from strategies.base import Context, Kind, Selection, Strategy, highest
from strategies.kernels.information import margin


class Margin(Strategy):
    """Picks where the two likeliest categories are closest (Scheffer et al. 2001; Settles 2009, section 3.1).

    An image with several distributions counts with their weighted mean.
    """

    name: ClassVar[str] = "margin"
    paper: ClassVar[str] = "Settles 2009"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "posteriors"
    cost: ClassVar[str] = "N C"

    def select(self, ctx: Context) -> Selection:
        """The candidates of smallest margin; a score is the negative margin."""
        posteriors = ctx.learner.posteriors(ctx.candidates)
        return highest(ctx, torch.cat([-each.pooled(margin(each.log_probs)) for each in posteriors]))
