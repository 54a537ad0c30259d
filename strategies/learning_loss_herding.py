"""Coverage of the embedding space, weighted by a predicted loss that also reads the predictions; Lossbench's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from lossnet import ListwiseObjective, RankingObjective, SummaryLossNet
from strategies.base import Context, Kind, Selection, Strategy, finite, unit_embeddings, unit_rows
from strategies.kernels.herding import WIDEST, herding_picks, smallest_distance
from strategies.kernels.information import (
    coefficient_of_variation,
    margin,
    shares_of_lower,
    uncertainty_statistics,
)
from tasks.base import Ids, Outputs, Posteriors
from tasks.settings import MOST_IMAGES, Whole
from tasks.training.learner import trained_module
from tasks.training.readings import readings
from tasks.training.step import CoTrained


class PredictionReader:
    """What makes a loss predictor, or its objective, read how uncertain the predictions are."""

    def of_predictions(self, posteriors: Posteriors) -> Float[Tensor, "n 9"]:
        """How uncertain the prediction of each image is, by three measures."""
        return uncertainty_statistics(posteriors)


class PredictionLossNet(PredictionReader, SummaryLossNet):
    """A `SummaryLossNet` for which the uncertainty of the prediction is one more tap."""


@dataclass(frozen=True)
class PredictionObjective(PredictionReader, ListwiseObjective):
    """Trains a `PredictionLossNet` to rank the losses of the whole batch, on detached taps and predictions."""

    def build(self, taps: Sequence[Tensor]) -> PredictionLossNet:
        """A new module for these taps, initialized from torch's global generator."""
        return PredictionLossNet([tap.shape[1] for tap in taps], self.width)


class LearningLossHerding(Strategy):
    """Picks the image that adds most to the coverage of the images of high predicted loss (Lossbench).

    The loss predictor of Yoo & Kweon (2019) reads feature maps alone. Trained with few labels it puts the losses of other
    images in an order hardly better than chance (docs/own-entry.md). Here it also reads how uncertain the prediction is, by
    entropy, least confidence and margin, and it learns the order of whole batches (`lossnet.listwise`). The picks are those
    of UHerding (Bae et al. 2025): greedy coverage under a Gaussian kernel, whose radius is the smallest distance of two
    labeled images. With few labels coverage decides, with many the loss.

    Differs from UHerding in the weight of an image: the share of candidates with lower or equal predicted loss, because the
    predictions of a ranking module have no scale, and no temperature has to be fitted. This share is raised to a power that says
    how much the model's uncertainty differs between candidates: the standard deviation of one minus the margin, divided by its
    mean. It is near 0 where all predictions are about equally uncertain, as those of heatmaps are, so that coverage alone decides
    there; in classification it grows as labels do.
    """

    name: ClassVar[str] = "learning-loss-herding"
    paper: ClassVar[str] = "Lossbench"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "taps, posteriors, embeddings"
    cost: ClassVar[str] = "N (min(N, 134 M / N) + L) D + L^2 D + less than K passes over the kernel, N at most 35,000"

    most_candidates: Whole = Field(default=35_000, ge=1, le=MOST_IMAGES)
    """Larger pools are reduced to a random subset of this size, as in UHerding."""

    def auxiliary(self, objective: RankingObjective) -> CoTrained:  # noqa: ARG002 - the module is always detached
        """A listwise loss predictor on detached taps and predictions."""
        return PredictionObjective()

    def select(self, ctx: Context) -> Selection:
        """Pick one by one the candidate that adds most, at random if equal; the score is what it adds."""
        candidates = ctx.rng.permutation(ctx.narrowed(self.most_candidates).candidates)
        labeled = unit_embeddings(ctx, ctx.labeled)
        points, losses, uncertainties = _read(ctx, candidates)
        with ctx.learner.clock.phase("pick"):
            weights = shares_of_lower(losses) ** coefficient_of_variation(uncertainties)
            radius = smallest_distance(labeled) or WIDEST
            rows, scores = herding_picks(points, weights, labeled, radius, ctx.budget, ctx.rng)
            return Selection(candidates[rows.cpu().numpy()], scores.cpu())


def _read(ctx: Context, candidates: Ids) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"], Float[Tensor, " n"]]:
    """The unit embedding, the predicted loss and the uncertainty of each candidate, from one pass."""
    task, module = ctx.learner.task, trained_module(ctx.learner.auxiliary)

    def read(outputs: Outputs) -> tuple[Tensor, ...]:
        posteriors = task.posteriors(outputs.raw)
        uncertainty = posteriors.pooled(1 - margin(posteriors.log_probs))
        return task.embed(outputs), module(readings(task, outputs, module)), uncertainty

    points, losses, uncertainties = ctx.learner.map_all(candidates, read)
    return (
        unit_rows(finite(points, "embeddings")),
        finite(losses, "predicted losses"),
        finite(uncertainties, "uncertainties"),
    )
