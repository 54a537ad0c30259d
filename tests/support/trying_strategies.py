"""A strategy that asks the oracle what picks would give."""

from __future__ import annotations

from typing import ClassVar

from strategies import Context, Selection, Strategy


class Trier(Strategy):
    """Asks what the first candidates would give."""

    name: ClassVar[str] = "trier"
    cheats: ClassVar[bool] = True
    scores: ClassVar[list[float]] = []

    def select(self, ctx: Context) -> Selection:
        assert ctx.oracle is not None
        picks = ctx.candidates[: ctx.budget]
        self.scores.append(ctx.oracle.score_after(picks))
        return Selection(picks)
