"""What loss predictors read of a model's outputs."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.base import Outputs, Posteriors, UnlabeledTask


@runtime_checkable
class ReadsPredictions(Protocol):
    """A loss predictor, or the objective that builds and trains one, that reads numbers of the predictions, too."""

    def of_predictions(self, posteriors: Posteriors) -> Float[Tensor, "n s"]:
        """For each image the same s numbers, such as the entropy of its prediction."""
        ...


def readings(task: UnlabeledTask[Any, Any], outputs: Outputs, predictor: object) -> tuple[Tensor, ...]:
    """What a loss predictor, or the objective that builds and trains one, reads: the taps or scales it asks for.

    After them come, for one that `ReadsPredictions`, its numbers of the predictions, without gradients.
    """
    taps = outputs.read_by(predictor)
    if not isinstance(predictor, ReadsPredictions):
        return taps
    with torch.no_grad():
        return (*taps, predictor.of_predictions(task.posteriors(outputs.raw)))
