"""Entropy of the prediction."""

from __future__ import annotations

from typing import ClassVar

from strategies.base import Context, Kind, Selection, Strategy, highest
from strategies.kernels.information import entropy


class Entropy(Strategy):
    """Picks images whose prediction has the highest entropy (Shannon 1948; Settles 2009, section 3.1).

    With several posterior rows per image the score is their weighted mean.
    """

    name: ClassVar[str] = "entropy"
    paper: ClassVar[str] = "Settles 2009"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "posteriors"
    cost: ClassVar[str] = "N C"

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of highest entropy."""
        return highest(ctx, ctx.learner.pooled(ctx.candidates, entropy))
