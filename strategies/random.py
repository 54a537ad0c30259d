"""Random selection, the baseline."""

from __future__ import annotations

from typing import ClassVar

from strategies.base import Context, Kind, Selection, Strategy


class Random(Strategy):
    """Picks images uniformly at random, without replacement."""

    name: ClassVar[str] = "random"
    paper: ClassVar[str] = "baseline"
    kind: ClassVar[Kind] = "baseline"
    reads: ClassVar[str] = "nothing"
    cost: ClassVar[str] = "N"

    def select(self, ctx: Context) -> Selection:
        """Pick a random subset in random order."""
        with ctx.learner.clock.phase("pick"):
            return Selection(ctx.rng.choice(ctx.candidates, ctx.budget, replace=False))
