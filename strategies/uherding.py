"""UHerding: coverage of the embedding space, weighted by uncertainty."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, finite, unit_embeddings, unit_rows
from strategies.kernels.calibration import held_out_temperature
from strategies.kernels.herding import WIDEST, herding_picks, smallest_distance
from strategies.kernels.information import margin
from tasks.base import Ids, Posteriors
from tasks.settings import MOST_IMAGES, Whole


class UHerding(Strategy):
    """Picks the image that adds most to the coverage of the uncertain images (Bae et al. 2025, algorithm 1).

    As MaxHerding, but an image counts as much as it is uncertain: one minus its margin, under a fitted temperature. The
    radius of the kernel is the smallest distance of two labeled images, so that it shrinks as labels grow. With few labels
    coverage decides, with many the margin. With several posterior rows per image the uncertainty is the mean over the rows,
    weighted by their weight.

    Differs from the paper in that images are embedded by the task's model; on protocols with a pretrained trunk that is
    the trunk, as the paper asks.
    Differs from the paper in that the temperature is not that of the model trained again on a part of the labels, but that
    of a linear classifier of the groups (classes, classes present, pose clusters) on the embeddings of 70 % of the labeled
    images: a strategy trains no model, and knows groups only. It is calibrated on the other 30 %, as in the authors' code.
    Differs from the paper, with more than 11,585 candidates, as MaxHerding does.
    """

    name: ClassVar[str] = "uherding"
    paper: ClassVar[str] = "Bae et al. 2025"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "posteriors, embeddings, labeled groups"
    cost: ClassVar[str] = "N (min(N, 134 M / N) + L) D + L^2 D + less than K passes over the kernel, N at most 35,000"
    cold_start: ClassVar[bool] = True

    most_candidates: Whole = Field(default=35_000, ge=1, le=MOST_IMAGES)
    """Larger pools are reduced to a random subset of this size (authors' code)."""

    def select(self, ctx: Context) -> Selection:
        """Pick one by one the candidate that adds most, at random if equal; the score is what it adds.

        Where nothing is labeled all images count alike, and the radius is 1.
        """
        candidates = ctx.rng.permutation(ctx.narrowed(self.most_candidates).candidates)
        if len(ctx.labeled):
            labeled = unit_embeddings(ctx, ctx.labeled)
            points, uncertainty = self._read(ctx, candidates, labeled)
        else:
            points = unit_embeddings(ctx, candidates)
            labeled, uncertainty = points[:0], torch.ones_like(points[:, 0])
        with ctx.learner.clock.phase("pick"):
            radius = smallest_distance(labeled) or WIDEST
            rows, scores = herding_picks(points, uncertainty, labeled, radius, ctx.budget, ctx.rng)
            return Selection(candidates[rows.cpu().numpy()], scores.cpu())

    def _read(
        self, ctx: Context, candidates: Ids, labeled: Float[Tensor, "l d"]
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """The unit embedding and the uncertainty of each candidate, from one pass."""
        groups = ctx.labeled_groups().to(labeled.device)
        with ctx.learner.clock.phase("pick"):
            temperature = held_out_temperature(labeled, groups, ctx.rng)
        task = ctx.learner.task
        points, uncertainties = ctx.learner.map_all(
            candidates,
            lambda outputs: (task.embed(outputs), uncertainty(task.posteriors(outputs.raw), temperature)),
        )
        return unit_rows(finite(points, "embeddings")), finite(uncertainties, "uncertainties")


def uncertainty(posteriors: Posteriors, temperature: float) -> Float[Tensor, " n"]:
    """One minus the margin of each image's rows under a temperature, from 0 to 1."""
    return posteriors.pooled(1 - margin((posteriors.log_probs / temperature).log_softmax(2)))
