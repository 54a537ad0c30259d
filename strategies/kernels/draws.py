"""Draws in proportion to the squared distance to the nearest earlier draw. Pure functions, on the device of their inputs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategies.kernels.geometry import BLOCK, CHUNK, squared_norms
from tasks.memory import gathered, in_file, parts

PROPOSALS = 2048
"""Proposed draws between two passes over all vectors."""
NUMBERS_AT_ONCE = 2**28
"""Of the vectors that are compared with one pick: 1 GiB of float32, more than any shipped protocol has."""
PASSED_OVER = 64
"""Vectors are passed over in multiples of it: a product of a matrix and a vector then rounds each row as it does among all."""
ROUNDING = 1e-4
"""Of the product of two lengths: far above what float32 rounds their inner product by."""


class OuterProducts(NamedTuple):
    """n vectors left[i] (x) right[i], which are never formed: <v, w> = <a, a'> <b, b'>. They may lie in files."""

    left: Float[Tensor, "n a"]
    right: Float[Tensor, "n b"]
    norms: Float[Tensor, " n"]
    """Squared, in float64."""

    @classmethod
    def of(cls, left: Float[Tensor, "n a"], right: Float[Tensor, "n b"]) -> OuterProducts:
        """The vectors of these factors."""
        return cls(left, right, squared_norms(left).double() * squared_norms(right))

    def subset(self, index: Tensor) -> OuterProducts:
        """Copies of some vectors, in the order of the index."""
        return OuterProducts(gathered(self.left, index), gathered(self.right, index), self.norms[index])

    def distances(self, others: OuterProducts) -> Float[Tensor, "n m"]:
        """All squared distances to the others, in float64."""
        inner_products = (self.left @ others.left.T).double() * (self.right @ others.right.T)
        return (self.norms.unsqueeze(1) + others.norms - 2 * inner_products).clamp_(min=0)

    def after(self, start: int) -> OuterProducts:
        """The vectors from a place on, not copied."""
        return OuterProducts(self.left[start:], self.right[start:], self.norms[start:])

    def distances_to(self, pick: OuterProducts) -> Float[Tensor, " n"]:
        """The squared distances to one vector, in float64."""
        rows = max(NUMBERS_AT_ONCE // self.right.shape[1], 1)
        factors = zip(parts(self.left, rows), parts(self.right, rows), strict=True)
        inner_products = torch.cat(
            [(left @ pick.left[0]).double() * (right @ pick.right[0]) for left, right in factors]
        )
        return (self.norms + pick.norms - 2 * inner_products).clamp_(min=0)

    def distances_to_nearest(self, others: OuterProducts) -> Float[Tensor, " n"]:
        """The squared distance of each vector to the nearest of the others, in float64; the terms that differ are of float32."""
        nearest = torch.full_like(self.norms, torch.inf)
        chunks = zip(parts(self.left, CHUNK), parts(self.right, CHUNK), nearest.split(CHUNK), strict=True)
        for left, right, found in chunks:
            for first in range(0, len(others.norms), BLOCK):
                block = slice(first, first + BLOCK)
                products = (left @ others.left[block].T).mul_(right @ others.right[block].T)
                terms = torch.sub(others.norms[block].to(products), products, alpha=2)
                torch.minimum(found, terms.amin(1), out=found)
        return nearest.add_(self.norms).clamp_(min=0)


def drawn_one_by_one(
    vectors: OuterProducts, count: int, rng: np.random.Generator, weights: Float[Tensor, " n"]
) -> Int[Tensor, " k"]:
    """One uniform number per pick, inverted over the cumulative sum, so that another implementation can repeat the draws.

    Costs k passes over the vectors, which the memory's bandwidth bounds. The vectors are sorted by length, and a pass begins
    where one may be nearer to the pick than to all earlier picks: |v - w| is at least the difference of their lengths. Of
    BADGE's gradients, most of which are short once a model is sure of most images, a pass reads a quarter.
    """
    order, ranked = _by_length(vectors)
    lengths = ranked.norms.sqrt()
    nearest = torch.ones_like(vectors.norms)
    draws = rng.random(count).tolist()
    chosen = torch.zeros(len(draws), dtype=torch.long, device=nearest.device)  # one tensor: a list fragments the heap
    for number, draw in enumerate(draws):
        cumulative = (weights * nearest).cumsum(0)
        if not cumulative[-1] > 0:
            cumulative = weights.index_fill(0, chosen[:number], 0).cumsum(0)
        pick = inverted(cumulative, cumulative[-1:] * draw)[0]
        chosen[number] = pick
        start = _first_nearer(lengths, vectors.norms[pick].sqrt(), nearest[order]) if number else 0
        rows, distances = order[start:], ranked.after(start).distances_to(vectors.subset(pick[None]))
        nearest[rows] = torch.minimum(nearest[rows], distances) if number else distances
        nearest[chosen[: number + 1]] = 0
    return chosen


def _by_length(vectors: OuterProducts) -> tuple[Int[Tensor, " n"], OuterProducts]:
    """An order, and the vectors in it: from the shortest to the longest, but for the last few, which stay.

    Where sorting does not pay, the order that they have: in files, and if most are more than half as long as the longest.
    """
    squares = vectors.norms
    order, whole = torch.arange(len(squares), device=squares.device), len(squares) // PASSED_OVER * PASSED_OVER
    if whole == 0 or in_file(vectors.right) or squares.median() > squares.amax() / 4:
        return order, vectors
    order[:whole] = squares[:whole].argsort()
    return order, vectors.subset(order)


def _first_nearer(lengths: Float[Tensor, " n"], length: Float[Tensor, ""], nearest: Float[Tensor, " n"]) -> int:
    """Before which place no vector is nearer to one of this length than `nearest`; both are squared distances."""
    least = (lengths - length).square() - ROUNDING * length * (lengths + ROUNDING * length)
    return int((least < nearest).to(torch.uint8).argmax()) // PASSED_OVER * PASSED_OVER


def drawn_with_rejections(
    vectors: OuterProducts, count: int, rng: np.random.Generator, weights: Float[Tensor, " n"]
) -> Int[Tensor, " k"]:
    """The same probabilities by rejection sampling, from other uniform numbers; many picks from one pass over the vectors.

    Distances to the nearest pick only decrease, so those after a pass bound all later ones. A vector is proposed in
    proportion to its bound u, and accepted with probability d / u, where d is its distance now: an accepted one is drawn in
    proportion to d. After 2,048 proposals, of which the first is always accepted, one pass gives new bounds. Costs k n (a + b)
    multiplications in products of matrices, and a pass for every 2,048 proposals.
    """
    evenly = weights.cumsum(0)
    chosen = new = inverted(evenly, evenly[-1:] * rng.random())
    nearest = torch.full_like(vectors.norms, torch.inf)
    while len(chosen) < count:
        nearest = torch.minimum(nearest, vectors.distances_to_nearest(vectors.subset(new)))
        nearest[chosen] = 0
        cumulative = (weights * nearest).cumsum(0)
        if not cumulative[-1] > 0:  # all others equal picks
            waiting = torch.from_numpy(rng.exponential(size=len(weights))).to(weights) / weights
            return torch.cat([chosen, waiting.index_fill_(0, chosen, torch.inf).argsort()[: count - len(chosen)]])
        uniforms = torch.from_numpy(rng.random((2, PROPOSALS))).to(weights)
        proposals = inverted(cumulative, cumulative[-1] * uniforms[0])
        new = proposals[_accepted(vectors.subset(proposals), proposals, nearest, uniforms[1])[: count - len(chosen)]]
        chosen = torch.cat([chosen, new])
    return chosen


def _accepted(
    proposed: OuterProducts, rows: Int[Tensor, " p"], nearest: Float[Tensor, " n"], uniforms: Float[Tensor, " p"]
) -> Int[Tensor, " a"]:
    """Which of the proposals are accepted, in their order; each accepted one shortens the distances of the later ones."""
    distances, between = nearest[rows], proposed.distances(proposed)
    bars, accepted, position = distances * uniforms, [], 0
    between[rows.unsqueeze(1) == rows] = 0  # never picked twice, whatever rounding says
    while position < len(rows):
        accepted.append(position)
        distances = torch.minimum(distances, between[position])
        later = (distances[position + 1 :] > bars[position + 1 :]).nonzero()
        position = position + 1 + int(later[0]) if len(later) else len(rows)
    return torch.tensor(accepted, dtype=torch.long, device=rows.device)


def inverted(cumulative: Float[Tensor, " n"], values: Float[Tensor, " p"]) -> Int[Tensor, " p"]:
    """Where the cumulative sum first exceeds each value; at most the last index of positive probability."""
    last = torch.searchsorted(cumulative, cumulative[-1:])
    return torch.minimum(torch.searchsorted(cumulative, values, right=True), last)
