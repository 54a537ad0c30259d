"""Least confidence: the probability of the most probable category."""

from __future__ import annotations

from typing import ClassVar

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
        return highest(ctx, ctx.learner.pooled(ctx.candidates, least_confidence))
