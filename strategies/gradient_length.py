"""Expected gradient length: how much an image would change the model, in expectation over its label."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, highest
from strategies.kernels.information import expected_residual
from tasks.base import Outputs, UnlabeledTask


class ExpectedGradientLength(Strategy):
    """Picks images with the largest expected gradient length, over labels as predicted (Settles et al. 2008).

    For the gradient of the cross-entropy with respect to the weights of a linear last layer with input z, the expected
    length is |z| sum over y of p(y) |p - e_y|.

    Differs from the paper in that only the weights of the last layer are considered. Differs with several posterior
    rows per image in that the expectation is taken for each row separately; their weighted mean, which is an upper
    bound on the length of the mean gradient, is multiplied by the length of the image's embedding instead of that of
    the row's own input. Differs for other training losses (boxes, heatmaps) in that cross-entropy is used in their
    place.
    """

    name: ClassVar[str] = "expected-gradient-length"
    paper: ClassVar[str] = "Settles et al. 2008"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "posteriors, embeddings"
    cost: ClassVar[str] = "N (C + D)"

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates of largest expected gradient length."""
        task = ctx.learner.task
        return highest(ctx, ctx.learner.map(ctx.candidates, lambda outputs: expected_lengths(task, outputs)))


def expected_lengths(task: UnlabeledTask, outputs: Outputs) -> Float[Tensor, " n"]:
    """The expected gradient length of each image."""
    posteriors = task.posteriors(outputs.raw)
    return posteriors.pooled(expected_residual(posteriors.log_probs)) * task.embed(outputs).norm(dim=1)
