"""Margin: the difference of the two largest probabilities."""

from __future__ import annotations

from typing import ClassVar

from strategies.base import Context, Kind, Selection, Strategy, highest
from strategies.kernels.information import margin


class Margin(Strategy):
    """Picks images whose two largest probabilities are closest (Scheffer et al. 2001; Settles 2009, section 3.1).

    With several posterior rows per image the score is their weighted mean.
    """

    name: ClassVar[str] = "margin"
    paper: ClassVar[str] = "Settles 2009"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "posteriors"
    cost: ClassVar[str] = "N C"

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of smallest margin; the score is minus the margin."""
        return highest(ctx, -ctx.learner.pooled(ctx.candidates, margin))
