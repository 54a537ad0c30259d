"""Uncertainty where many images are."""

from typing import ClassVar

import torch
from pydantic import Field
from torch.nn import functional

from strategies.base import Context, Selection, Strategy, highest
from strategies.kernels.information import entropy


class InformationDensity(Strategy):
    """Entropy, times the mean cosine similarity to all candidates to a power (Settles & Craven 2008, equation 13).

    Differs from the paper in that a similarity below zero counts as zero: a power of it would have no meaning.
    """

    name: ClassVar[str] = "information-density"
    paper: ClassVar[str] = "Settles & Craven 2008"

    beta: float = Field(default=1.0, ge=0)
    """How much density counts (the paper's value)."""

    def select(self, ctx: Context) -> Selection:
        """The candidates of highest product."""
        task, points, unsure = ctx.learner.task, [], []
        for _, outputs in ctx.learner.batches(ctx.candidates):
            with torch.no_grad():
                posteriors = task.posteriors(outputs.raw)
                unsure.append(posteriors.pooled(entropy(posteriors.log_probs)))
                points.append(functional.normalize(task.embed(outputs)))
        units = torch.cat(points)
        density = (units @ units.mean(0)).clamp(min=0)
        return highest(ctx, torch.cat(unsure) * density**self.beta)
