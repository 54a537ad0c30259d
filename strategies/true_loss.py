"""True loss: what a perfect loss predictor would pick."""

from __future__ import annotations

from typing import ClassVar

from strategies.base import Context, Kind, Selection, SelectionError, Strategy, highest


class TrueLoss(Strategy):
    """Picks images with the highest true loss; a reference that reads the labels of candidates and is not ranked."""

    name: ClassVar[str] = "true-loss"
    paper: ClassVar[str] = "reference"
    kind: ClassVar[Kind] = "reference"
    reads: ClassVar[str] = "true losses"
    cost: ClassVar[str] = "N"
    cheats: ClassVar[bool] = True

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of highest loss under their true labels.

        Raises:
            SelectionError: the context has no oracle.
        """
        if ctx.oracle is None:
            msg = "true-loss reads the true losses of the candidates, and this context has no oracle"
            raise SelectionError(msg)
        return highest(ctx, ctx.oracle.losses(ctx.candidates))
