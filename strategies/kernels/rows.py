"""One distribution per image from its posterior rows, and the rows of the largest scores. Pure functions."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from tasks.base import Posteriors

CELLS = 64
"""Maximum number of cells of a map after pooling."""
SORTED_ROWS = 2**20
"""Scores that are sorted at once."""


def row_means(posteriors: Posteriors) -> Float[Tensor, "n v"]:
    """The mean of an image's distributions, weighted by their weight, as a vector that adds up to 1.

    With one row that is the distribution itself. Where the categories are the cells of a map, such as a joint's heatmap, the
    maps are pooled to 8 x 8 blocks and stay apart.
    """
    probs, weight = posteriors.log_probs.exp(), posteriors.weight.unsqueeze(2)
    if posteriors.grid is not None:
        return (weight * pooled_cells(probs, posteriors.grid, CELLS)).flatten(1)
    return torch.where(weight == 0, 0.0, weight * probs).sum(1)


def pooled_cells(probs: Float[Tensor, "n m k"], grid: tuple[int, int], most: int) -> Float[Tensor, "n m _"]:
    """The probabilities of a map's cells, summed over blocks of nearly equal size.

    Args:
        probs: k = height x width cells, row by row.
        grid: height and width of the maps.
        most: maximum number of cells in the result; maps with at most as many are returned unchanged.
    """
    if probs.shape[2] <= most:
        return probs
    blocks = math.isqrt(most)
    down, across = (
        functional.one_hot(torch.arange(side, device=probs.device) * min(blocks, side) // side).to(probs)
        for side in grid
    )
    return torch.einsum("nmyx,yv,xu->nmvu", probs.unflatten(2, grid), down, across).flatten(2)


def largest_first(scores: Float[Tensor, " n"], order: Int[Tensor, " n"], most: int) -> Int[Tensor, " k"]:
    """The rows of the largest scores, largest first; of equal scores the first in the order.

    The best of one part after the other are merged: memory is bounded, however many there are.

    Args:
        scores: not NaN.
        order: of all rows.
        most: how many rows to give; all if there are fewer.
    """
    best = order[:0]
    for part in order.split(SORTED_ROWS):
        rows = torch.cat([best, part])
        best = rows[scores[rows].sort(descending=True, stable=True).indices[:most]]
    return best


def descending(scores: Float[Tensor, " n"], rng: np.random.Generator) -> Int[Tensor, " n"]:
    """All rows, those of the largest scores first, at random if equal."""
    order = torch.from_numpy(rng.permutation(len(scores))).to(scores.device)
    return largest_first(scores, order, len(scores))


def filled(picks: Int[Tensor, " p"], others: Int[Tensor, " n"], most: int) -> Int[Tensor, " k"]:
    """The picks, and after them the others that are none of them, as many as are wanted."""
    return torch.cat([picks, others[~torch.isin(others, picks)]])[:most]
