"""How much an image would change the model, whatever its label."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from strategies.base import Context, Kind, Selection, Strategy, highest
from strategies.kernels.information import expected_residual
from tasks.base import Outputs, UnlabeledTask


class ExpectedGradientLength(Strategy):
    """Picks the largest expected length of the gradient, the label drawn from the prediction (Settles et al. 2008).

    Of the cross-entropy in the weights of a linear last layer with input z: |z| sum over y of p(y) |p - e_y|.

    Differs from the paper in that the gradient is that of the last layer's weights only. Differs for images with several
    distributions in that each row's expectation is taken by itself and their weighted mean, which bounds the length of
    the mean gradient from above, is multiplied by the length of the image's embedding instead of that of the row's own
    input. Differs where the training loss is another (boxes, heatmaps): cross-entropy stands for it.
    """

    name: ClassVar[str] = "expected-gradient-length"
    paper: ClassVar[str] = "Settles et al. 2008"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "posteriors, embeddings"
    cost: ClassVar[str] = "N (C + D)"

    def select(self, ctx: Context) -> Selection:
        """The candidates of largest expected gradient."""
        task = ctx.learner.task
        return highest(ctx, ctx.learner.map(ctx.candidates, lambda outputs: lengths(task, outputs)))


def lengths(task: UnlabeledTask, outputs: Outputs) -> Float[Tensor, " n"]:
    """The expected length of each image's gradient."""
    posteriors = task.posteriors(outputs.raw)
    return posteriors.pooled(expected_residual(posteriors.log_probs)) * task.embed(outputs).norm(dim=1)
