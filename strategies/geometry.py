"""Picking by distances between vectors. Pure functions."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK = 1024  # centers compared at once: bounds the memory of the first pass to points x BLOCK


def greedy_k_center(
    points: Float[Tensor, "n d"], centers: Float[Tensor, "c d"], picks: int
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Points picked one by one, each the farthest from all centers and earlier picks, and its distance to them.

    Of equally far points the first is picked; without centers the first pick is point 0, at an infinite distance.
    Costs (c + k) n d operations and n x 1024 numbers beside the input.
    """
    norms = points.square().sum(1)
    nearest = torch.full_like(norms, torch.inf)
    for block in centers.split(BLOCK) if len(centers) else ():
        squares = norms[:, None] + block.square().sum(1) - 2 * points @ block.T
        nearest = torch.minimum(nearest, squares.amin(1))
    nearest.clamp_(min=0)
    chosen, distances = [], []
    for _ in range(min(picks, len(points))):
        pick = nearest.argmax()
        chosen.append(pick)
        distances.append(nearest[pick].sqrt())
        to_pick = norms + norms[pick] - 2 * points @ points[pick]
        nearest = torch.minimum(nearest, to_pick.clamp_(min=0))
        nearest[pick] = -1  # never twice, even where all points are equal
    if not chosen:
        return torch.zeros(0, dtype=torch.long, device=points.device), points.new_zeros(0)
    return torch.stack(chosen), torch.stack(distances)
