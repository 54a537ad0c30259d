"""A temperature for predictions, fitted to labeled images that were held out. Pure functions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

BINS = 15
"""Of the confidence, for the calibration error (Guo et al. 2017)."""
TEMPERATURES = (1.0, 20.0, 0.1)
"""First, last (excluded) and step (the authors' code of Bae et al. 2025)."""
HELD_OUT = 0.3
"""Share of the labeled images on which the temperature is fitted (the same code)."""
LEAST_IMAGES = 4
MOST_IMAGES = 5000
"""Labeled images that are used, drawn at random from more: the classifier takes up to 100 passes over them."""
STEPS = 100


class HeldOut(NamedTuple):
    """What a classifier says of images that it was not fitted to."""

    logits: Float[Tensor, "n g"]
    groups: Bool[Tensor, "n g"]


def calibration_error(confidence: Float[Tensor, " n"], correct: Bool[Tensor, " n"]) -> float:
    """The expected calibration error: the mean gap of confidence and accuracy over bins of confidence, by their size."""
    bins = (confidence * BINS).ceil().long().clamp_(1, BINS) - 1
    gaps = torch.zeros(BINS, dtype=torch.float64, device=confidence.device)
    gaps.index_add_(0, bins, confidence.double() - correct.double())
    return float(gaps.abs().sum() / max(len(confidence), 1))


def best_temperature(held_out: HeldOut) -> float:
    """The temperature of lowest calibration error, the first of several; an image is right if it is of the group."""
    errors = {}
    for temperature in np.arange(*TEMPERATURES).tolist():
        confidence, group = (held_out.logits / temperature).softmax(1).max(1)
        errors[temperature] = calibration_error(confidence, held_out.groups.gather(1, group.unsqueeze(1)).squeeze(1))
    return min(errors, key=errors.__getitem__)


def linear_classifier(
    points: Float[Tensor, "n d"], groups: Bool[Tensor, "n g"], others: Float[Tensor, "m d"]
) -> Float[Tensor, "m g"]:
    """The logits of other points, by a softmax regression of the groups, with the usual ridge of 1 over all points.

    Points are centered, and scaled by one number to a mean variance of 1. A point of several groups is of each in equal
    shares.
    """
    mean = points.mean(0)
    scale = (points - mean).square().mean().sqrt().clamp_(min=torch.finfo(points.dtype).tiny)
    shares = groups / groups.sum(1, keepdim=True)
    inputs = torch.cat([(points - mean) / scale, torch.ones_like(points[:, :1])], 1)
    weights = inputs.new_zeros(inputs.shape[1], groups.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        objective = -(shares * (inputs @ weights).log_softmax(1)).sum() + weights[:-1].square().sum() / 2
        (weights.grad,) = torch.autograd.grad(objective / len(inputs), weights)
        return objective.detach() / len(inputs)

    with torch.enable_grad():
        optimizer.step(closure)  # pyright: ignore[reportArgumentType] - the stub wants a float
    return torch.cat([(others - mean) / scale, torch.ones_like(others[:, :1])], 1) @ weights.detach()


def held_out_temperature(points: Float[Tensor, "n d"], groups: Bool[Tensor, "n g"], rng: np.random.Generator) -> float:
    """The temperature at which a linear classifier of groups is calibrated on labeled images that were held out.

    It is 1, the smallest, where fewer than 4 images are of a group.

    Args:
        points: the embeddings of the labeled images.
        groups: of each image.
        rng: draws the held-out images.
    """
    grouped = groups.any(1).nonzero().squeeze(1).cpu().numpy()
    if len(grouped) < LEAST_IMAGES:
        return TEMPERATURES[0]
    order = torch.from_numpy(rng.permutation(grouped)[:MOST_IMAGES]).to(points.device)
    held_out, fitted = order.tensor_split([max(1, round(HELD_OUT * len(order)))])
    logits = linear_classifier(points[fitted], groups[fitted], points[held_out])
    return best_temperature(HeldOut(logits, groups[held_out]))
