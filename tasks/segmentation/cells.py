"""The cells of a coarse grid over an image: their class distributions, weights and true classes; and classes of whole images."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from tasks.base import Posteriors
from tasks.datasets.masks import VOID


def cell_posteriors(raw: Float[Tensor, "n k h w"], grid: int, weight: Literal["even", "classes"]) -> Posteriors:
    """One row per cell: the mean of its pixels' class distributions. Its context is the most probable class."""
    means = functional.adaptive_avg_pool2d(raw.softmax(1), grid).flatten(2).transpose(1, 2)
    log_probs = means.clamp(min=torch.finfo(means.dtype).tiny).log()
    context = log_probs.argmax(2)
    weights = torch.full_like(means[:, :, 0], 1 / means.shape[1])
    if weight == "classes":
        cells = functional.one_hot(context, means.shape[2]).to(means)
        counts = cells.sum(1)
        shown = (counts > 0).sum(1, keepdim=True)
        weights = 1 / (shown * counts.gather(1, context))
    return Posteriors(log_probs, weights, context)


def cell_classes(labels: Int[Tensor, "n s s"], grid: int, classes: int) -> Int[Tensor, "n m"]:
    """The class with the most pixels of each cell; -1 where none is labeled."""
    shares = torch.stack(
        [functional.adaptive_avg_pool2d((labels == each).float(), grid) for each in range(classes)]
    ).flatten(2)
    most, found = shares.max(0)
    return torch.where(most > 0, found, -1)


def class_shares(labels: UInt8[np.ndarray, "n s s"], classes: int) -> Float[np.ndarray, "n k"]:
    """The share of each class among the labeled pixels of each image."""
    counts = np.array([np.bincount(each.ravel(), minlength=VOID + 1)[:classes] for each in labels], dtype=float)
    counts = counts.reshape(len(labels), classes)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)
