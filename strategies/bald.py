"""BALD: disagreement of the predictions under Monte Carlo dropout."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from strategies.base import Context, Kind, Selection, Strategy, highest
from strategies.kernels.information import disagreement
from tasks.settings import Number, Whole


class Bald(Strategy):
    """Picks images with the most disagreement under dropout (Houlsby et al. 2011, eq. 2; Gal et al. 2017, section 4).

    The score is the mutual information of category and dropout mask: the entropy of the mean prediction minus the mean
    entropy. With several posterior rows per image it is the mean over the rows, weighted by their mean weight over the
    passes.

    Differs from the papers in that dropout is applied before the model's head only, so that a pass repeats only the
    head.
    Differs from Gal et al. in the shared track, where the model was trained without the dropout.
    """

    name: ClassVar[str] = "bald"
    paper: ClassVar[str] = "Gal et al. 2017"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "dropout passes"
    cost: ClassVar[str] = "T passes of the head, T N C"

    passes: Whole = Field(default=10, ge=2, le=10_000)
    """As in the published command of Kirsch et al. 2019. Differs from Gal et al., whose code makes 100."""
    rate: Number = Field(default=0.5, gt=0, lt=1)
    """Dropout rate before the last layer (Gal et al. 2017, section 5)."""

    @property
    def dropout(self) -> float:
        """The rate; in the native track the model is also trained with it."""
        return self.rate

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of highest mutual information."""
        batches = ctx.learner.dropout_passes(ctx.candidates, self.passes, self.rate, ctx.rng)
        return highest(ctx, torch.cat([disagreement(passes) for passes in batches]))
