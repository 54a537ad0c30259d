"""Greedy generalized coverage under a Gaussian kernel, without a matrix of all pairs. Pure functions, on the device of their inputs."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategies.kernels.geometry import CHUNK, Space

KERNEL_NUMBERS = 2**27
"""Kernel values in memory, 512 MiB of float32: all pairs of 11,585 points; of more, each point's to a sample of them."""
WIDEST = 1.0
"""The kernel's radius where no two labeled images differ (authors' code of UHerding)."""
FIRST_BLOCK = 64
"""Points whose gain is computed anew at once; twice as many each time that it was not enough for a pick."""
EQUAL = 1e-8
"""Two points of length 1 with a smaller squared distance are the same image: float32 forward passes round to about 1e-11."""


def gaussian(squared_distances: Tensor, radius: float) -> Tensor:
    """exp(-(distance / radius)^2), from 0 to 1."""
    return (squared_distances / -(radius**2)).exp_()


def coverage(points: Float[Tensor, "n d"], centers: Float[Tensor, "c d"], radius: float) -> Float[Tensor, " n"]:
    """The largest kernel value of each point with any of the centers; 0 if there are none."""
    return gaussian(Space.euclidean(points).distances_to_nearest(Space.euclidean(centers)), radius)


def smallest_distance(points: Float[Tensor, "n d"]) -> float | None:
    """The smallest distance of two points that are not equal; None if there are none. In float64."""
    if len(points) < 2:  # noqa: PLR2004 - a pair
        return None
    exact, smallest = points.double(), torch.inf
    squares = exact.square().sum(1)
    for rows in torch.arange(len(points), device=points.device).split(CHUNK):
        distances = torch.addmm(squares, exact[rows], exact.T, alpha=-2).add_(squares[rows].unsqueeze(1))
        distances[distances <= EQUAL] = torch.inf
        smallest = min(smallest, float(distances.amin()))
    return smallest**0.5 if smallest < torch.inf else None


class Gains:
    """How much more of n points each of them would cover, as more and more of them are picked.

    The gain of point j is the sum over all points i of weight(i) max(kernel(i, j) - coverage(i), 0). With more points than
    the kernel's memory holds, the sum over the others is estimated from a random sample; a point's own term is exact.

    Args:
        points: to be covered, and to be picked.
        weights: of the points, at least 0.
        covered: the coverage of each point at the start, from 0 to 1.
        radius: of the kernel.
        rng: draws the sample.
    """

    def __init__(
        self,
        points: Float[Tensor, "n d"],
        weights: Float[Tensor, " n"],
        covered: Float[Tensor, " n"],
        radius: float,
        rng: np.random.Generator,
    ) -> None:
        count = len(points)
        self._points, self._weights, self._covered, self._radius = points, weights, covered.clone(), radius
        self._space = Space.euclidean(points)
        self.all_rows = torch.arange(count, device=points.device)
        size = min(count, max(KERNEL_NUMBERS // max(count, 1), 2))
        sample = np.arange(count) if size == count else np.sort(rng.choice(count, size, replace=False))
        self._sample = torch.from_numpy(sample).to(points.device)
        self._kernel = points.new_empty(count, size)
        for start in range(0, count, CHUNK):
            self._kernel[start : start + CHUNK] = self._values(slice(start, start + CHUNK), self._sample)
        self._kernel[self._sample, torch.arange(size, device=points.device)] = 0  # a point's own term is added apart
        in_sample = torch.zeros_like(weights).index_fill_(0, self._sample, 1)
        self._scale = (count - 1) / (size - in_sample).clamp_(min=1)

    def of(self, rows: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """The gains of some points."""
        parts = []
        for chunk in rows.split(CHUNK):
            more = self._kernel[chunk].sub_(self._covered[self._sample]).clamp_(min=0)
            others = more @ self._weights[self._sample] * self._scale[chunk]
            parts.append(others + self._weights[chunk] * (1 - self._covered[chunk]).clamp_(min=0))
        return torch.cat(parts)

    def pick(self, row: int) -> None:
        """Count a point as picked: all points near it are covered."""
        if self._kernel.shape[1] == len(self._points):
            values = self._kernel[row].clone()
        else:
            values = self._values(slice(None), torch.tensor([row], device=self._points.device)).squeeze(1)
        values[row] = 1
        self._covered = torch.maximum(self._covered, values)

    def _values(self, rows: slice, columns: Int[Tensor, " b"]) -> Float[Tensor, "n b"]:
        one, other = self._space.subset(rows), self._space.subset(columns)
        distances = torch.addmm(other.offsets, one.left, other.right.T, alpha=-one.factor)
        return gaussian(distances.add_(one.offsets.unsqueeze(1)).clamp_(min=0), self._radius)


def herding_picks(
    points: Float[Tensor, "n d"],
    weights: Float[Tensor, " n"],
    labeled: Float[Tensor, "l d"],
    radius: float,
    picks: int,
    rng: np.random.Generator,
) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """The picks that add most to the weighted coverage of all points, as `greedy_picks` gives them.

    Args:
        points: to be covered, and to be picked.
        weights: of the points, at least 0.
        labeled: what covers them at the start.
        radius: of the kernel.
        picks: how many.
        rng: draws the sample that estimates gains where there are many points.
    """
    covered = coverage(points, labeled, radius)
    return greedy_picks(Gains(points, weights / len(points), covered, radius, rng), picks)


def greedy_picks(gains: Gains, picks: int) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Pick points one by one, always one of the largest gain (Bae et al. 2024, MaxHerding).

    Gains only decrease, so one from an earlier pick is an upper bound: only those with the largest bounds are computed
    anew, until the largest of all is up to date.

    Args:
        gains: of the points.
        picks: how many to pick; all points if there are fewer.

    Returns:
        The indices of the picks, and the gain of each.
    """
    bounds = gains.of(gains.all_rows)
    computed = torch.zeros_like(bounds, dtype=torch.long)
    chosen: list[int] = []
    chosen_gains: list[float] = []
    for number in range(min(picks, len(bounds))):
        block, best = FIRST_BLOCK, int(bounds.argmax())
        while computed[best] < number:
            rows = bounds.topk(min(block, len(bounds))).indices
            rows = rows[computed[rows] < number]
            bounds[rows] = torch.minimum(bounds[rows], gains.of(rows))  # a pick's stays at -1
            computed[rows] = number
            block, best = 2 * block, int(bounds.argmax())
        chosen.append(best)
        chosen_gains.append(float(bounds[best]))
        bounds[best] = -1
        gains.pick(best)
    return torch.tensor(chosen, dtype=torch.long, device=bounds.device), bounds.new_tensor(chosen_gains)
