"""Accuracy, over images and over classes."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor
from torch.nn import functional


def accuracies(predicted: Int[Tensor, " n"], labels: Int[Tensor, " n"], classes: int) -> dict[str, float]:
    """`accuracy`, and its mean over the classes that occur among the labels (`balanced_accuracy`).

    Args:
        predicted: the predicted class of each image.
        labels: the true class of each image.
        classes: the number of classes.
    """
    correct = (predicted == labels).cpu().double()
    one_hot = functional.one_hot(labels.cpu(), classes).double()
    counts = one_hot.sum(0)
    per_class = (correct @ one_hot)[counts > 0] / counts[counts > 0]
    return {"accuracy": float(correct.mean()), "balanced_accuracy": float(per_class.mean())}
