"""The ratio of the two likeliest categories."""

from typing import ClassVar

import torch

from strategies.base import Context, Selection, Strategy, highest


class ConfidenceRatio(Strategy):
    """Picks where the second likeliest category comes closest to the likeliest, as a ratio (Monarch 2021, chapter 3)."""

    name: ClassVar[str] = "confidence-ratio"
    paper: ClassVar[str] = "Monarch 2021"

    def select(self, ctx: Context) -> Selection:
        """The candidates of highest ratio."""
        scores = []
        for posteriors in ctx.learner.posteriors(ctx.candidates):
            top = posteriors.log_probs.topk(2, dim=2).values
            scores.append(posteriors.pooled((top[..., 1] - top[..., 0]).exp()))
        return highest(ctx, torch.cat(scores))
