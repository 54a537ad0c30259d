"""VAAL whose networks are told how high a loss the model is expected to have."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from strategies.base import Context, finite
from strategies.vaal import VAAL


def scaled(losses: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Losses brought to [0, 1] by their lowest and highest; one half each where all are equal."""
    low, high = losses.aminmax()
    return torch.where(high > low, (losses - low) / (high - low), 0.5)


class TAVAAL(VAAL):
    """VAAL whose decoder and discriminator are told each image's predicted loss (Kim, Park, Kim & Chun 2021).

    The number that the learning-loss module predicts joins the latent, so that the discriminator tells labeled from
    unlabeled images in the light of how hard they are.

    Differs from the paper in that the module is the benchmark's own LossNet under its margin ranking loss, where the
    paper trains it with RankCGAN's pairwise cross-entropy; predictions are brought to [0, 1] by the lowest and highest
    of all images instead of a sigmoid; and the first step is told predictions too, where the published code draws
    uniform numbers. Else as VAAL.
    """

    name: ClassVar[str] = "ta-vaal"
    paper: ClassVar[str] = "Kim, Park, Kim & Chun 2021"
    reads: ClassVar[str] = "images, taps"
    needs_lossnet: ClassVar[bool] = True

    batch: int = Field(default=128, ge=1)
    """Published code; as many labeled images and as many candidates."""

    def conditions(self, ctx: Context) -> tuple[Float[Tensor, "l c"], Float[Tensor, "n c"]]:
        """The scaled predicted losses of labeled images and candidates."""
        learner = ctx.learner
        predicted = [learner.predicted_losses(learner.lossnet, ids) for ids in (ctx.labeled, ctx.candidates)]
        told = scaled(finite(torch.cat(predicted), "predicted losses")).unsqueeze(1)
        return told[: len(ctx.labeled)], told[len(ctx.labeled) :]
