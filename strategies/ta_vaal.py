"""TA-VAAL: VAAL conditioned on the predicted loss of each image."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from strategies.base import Context, finite
from strategies.vaal import VAAL
from tasks.settings import Whole


def min_max_scaled(losses: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Losses scaled linearly to [0, 1] by their minimum and maximum; 1/2 if all are equal."""
    low, high = losses.aminmax()
    return torch.where(high > low, (losses - low) / (high - low), 0.5)


class TAVAAL(VAAL):
    """Picks as VAAL does, with decoder and discriminator conditioned on predicted losses (Kim, Park, Kim & Chun 2021).

    The loss that LossNet predicts for an image is concatenated to its latent vector, so that the discriminator takes
    the difficulty of an image into account.

    Differs from the paper in that the module is the benchmark's own LossNet with its margin ranking loss, whereas the
    paper trains it with RankCGAN's pairwise cross-entropy; predictions are scaled to [0, 1] by the minimum and maximum
    over all images instead of a sigmoid; and the first training step uses predictions too, whereas the published code
    draws uniform numbers. Everything else is as in VAAL.
    Differs from the authors' code in that the discriminator reads the same scaled loss as the decoder; there it reads the
    prediction as it is.
    """

    name: ClassVar[str] = "ta-vaal"
    paper: ClassVar[str] = "Kim, Park, Kim & Chun 2021"
    reads: ClassVar[str] = "images, taps"
    needs_lossnet: ClassVar[bool] = True

    batch: Whole = Field(default=128, ge=1, le=65_536)
    """Number of labeled images per step, and of candidates; published code."""

    def conditions(self, ctx: Context) -> tuple[Float[Tensor, "l c"], Float[Tensor, "n c"]]:
        """The scaled predicted losses of labeled images and candidates."""
        learner = ctx.learner
        predicted = [learner.predicted_losses(learner.lossnet, ids) for ids in (ctx.labeled, ctx.candidates)]
        losses = min_max_scaled(finite(torch.cat(predicted), "predicted losses")).unsqueeze(1)
        return losses[: len(ctx.labeled)], losses[len(ctx.labeled) :]
