"""FALCUN: uncertain images that are far apart in the space of probabilities."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.draws import inverted
from strategies.kernels.information import margin
from strategies.kernels.rows import row_means
from tasks.settings import Number


class Falcun(Strategy):
    """Draws images by uncertainty plus distance to the picks in the space of probabilities (Gilhuber et al. 2024).

    The uncertainty u of an image is one minus its margin. Its distance d starts at u, and is at most the sum of absolute
    differences of its probabilities and those of each pick. At every pick d is scaled to [0, 1] over the remaining images,
    and an image is drawn in proportion to (u + d) to the power gamma.

    With several posterior rows per image the margin is the mean over the rows, weighted by their weight, and so are the
    probabilities; those of a joint's cells are pooled to 8 x 8 blocks, and the joints are kept apart.
    """

    name: ClassVar[str] = "falcun"
    paper: ClassVar[str] = "Gilhuber et al. 2024"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "posteriors"
    cost: ClassVar[str] = "K N C"

    gamma: Number = Field(default=10.0, ge=0, le=1000)
    """0 draws evenly; a large one always takes the highest sum (authors' code)."""

    def select(self, ctx: Context) -> Selection:
        """Draw one by one."""
        vectors: list[Tensor] = []
        uncertainties: list[Tensor] = []
        for posteriors in ctx.learner.posteriors(ctx.candidates):
            vectors.append(row_means(posteriors))
            uncertainties.append(posteriors.pooled(1 - margin(posteriors.log_probs)))
        points = finite(torch.cat(vectors), "posteriors")
        uncertainty = finite(torch.cat(uncertainties), "uncertainties")
        with ctx.learner.clock.phase("pick"):
            return ctx.pick(falcun_picks(points, uncertainty, ctx.budget, self.gamma, ctx.rng))


def falcun_picks(
    points: Float[Tensor, "n v"], uncertainty: Float[Tensor, " n"], picks: int, gamma: float, rng: np.random.Generator
) -> Int[Tensor, " k"]:
    """Draw points by uncertainty plus distance to the earlier ones.

    Args:
        points: the probabilities.
        uncertainty: of each point, from 0 to 1.
        picks: how many points to draw; all if there are fewer.
        gamma: power of the sum.
        rng: gives one uniform number per pick.
    """
    uncertainty = uncertainty.double()
    distances, free = uncertainty.clone(), torch.ones_like(uncertainty, dtype=torch.bool)
    chosen: list[int] = []
    for draw in rng.random(min(picks, len(points))).tolist():
        rows = free.nonzero().squeeze(1)
        relevance = uncertainty[rows] + scaled(distances[rows])
        share = relevance / relevance.amax().clamp(min=torch.finfo(relevance.dtype).tiny)  # powers do not underflow
        cumulative = (share**gamma if float(relevance.amax()) > 0 else torch.ones_like(share)).cumsum(0)
        row = inverted(cumulative, cumulative[-1:] * draw)[0]
        chosen.append(int(rows[row]))
        free[chosen[-1]] = False
        distances = torch.minimum(distances, (points - points[chosen[-1]]).abs_().sum(1).double())
    return torch.tensor(chosen, dtype=torch.long, device=points.device)


def scaled(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The values scaled linearly to [0, 1]; 0 if all are equal."""
    low, high = values.aminmax()
    return (values - low) / (high - low) if high > low else torch.zeros_like(values)
