"""What loss prediction would pick if it were never wrong."""

from __future__ import annotations

from typing import ClassVar

from strategies.base import Context, Kind, Selection, SelectionError, Strategy, highest


class TrueLoss(Strategy):
    """Picks the highest true loss: a reference that reads the labels of candidates, and is kept off the ranking."""

    name: ClassVar[str] = "true-loss"
    paper: ClassVar[str] = "reference"
    kind: ClassVar[Kind] = "reference"
    reads: ClassVar[str] = "oracle"
    cost: ClassVar[str] = "N"
    cheats: ClassVar[bool] = True

    def select(self, ctx: Context) -> Selection:
        """The candidates of highest loss under their true labels.

        Raises:
            SelectionError: there is no oracle.
        """
        if ctx.oracle is None:
            msg = "true-loss reads the true losses of the candidates, and this context has no oracle"
            raise SelectionError(msg)
        return highest(ctx, ctx.oracle(ctx.candidates))
