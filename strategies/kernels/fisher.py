"""Selection by Fisher information of rank one per image (Ash et al. 2021). Pure functions."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategies.kernels.geometry import CHUNK

FIRST_REFRESH = 64
"""Changes after which all is computed anew, and then whenever they have doubled: what falls to a fraction loses digits."""
MOST_PENDING = 64
"""Changes that are kept apart from the matrices, so that these are read at every pick but seldom written."""


class FisherBatch:
    """The inverse of A, the information of the labeled and picked images, and what each candidate changes.

    Candidate i adds z_i z_i^T to A. With F the information of the whole pool, tr(F A^-1) falls by q_i / (1 + d_i), where
    d_i = <z_i, A^-1 z_i> and q_i = <z_i, A^-1 F A^-1 z_i>. Each pick changes both by two inner products per candidate
    (Sherman & Morrison 1950). What is as large as the pool is multiplied in its own precision, all else is in float64.

    Args:
        vectors: z of each candidate.
        start: A before the first pick; symmetric, positive definite.
        pool: F.
    """

    def __init__(self, vectors: Float[Tensor, "n d"], start: Float[Tensor, "d d"], pool: Float[Tensor, "d d"]) -> None:
        self._vectors = vectors
        self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(start.double()))
        self._weighted = self._inverse @ pool.double() @ self._inverse
        self._changes = 0
        none = self._inverse[:0]
        self._pending = (none, none[:, 0], none)
        self._lengths, self._reach = self._measured(self._inverse), self._measured(self._weighted)

    def _measured(self, matrix: Float[Tensor, "d d"]) -> Float[Tensor, " n"]:
        """<z, matrix z> of each candidate."""
        parts = [((part @ matrix.to(part)) * part).sum(1) for part in self._vectors.split(CHUNK)]
        return torch.cat(parts).double()

    def added(self) -> Float[Tensor, " n"]:
        """By how much tr(F A^-1) falls if a candidate is added."""
        return self._reach / (1 + self._lengths)

    def removed(self, rows: Int[Tensor, " r"]) -> Float[Tensor, " r"]:
        """By how much it grows if a picked candidate is removed."""
        return self._reach[rows] / (1 - self._lengths[rows]).clamp(min=torch.finfo(torch.float64).tiny)

    def change(self, row: int, sign: int) -> None:
        """Add (sign 1) or remove (sign -1) a candidate."""
        vector = self._vectors[row].double()
        us, factors, vs = self._pending
        along = us @ vector
        u = self._inverse @ vector + (factors * along) @ us
        w = self._weighted @ vector + along @ vs + (vs @ vector) @ us
        factor, reach = -sign / (1 + sign * float(vector @ u)), float(vector @ w)
        v = factor * w + factor**2 * reach / 2 * u
        self._pending = (
            torch.cat([us, u[None]]),
            torch.cat([factors, u.new_tensor([factor])]),
            torch.cat([vs, v[None]]),
        )
        self._changes += 1
        if len(us) + 1 == MOST_PENDING:
            self._settle()
        if self._changes >= FIRST_REFRESH and self._changes.bit_count() == 1:
            self._settle()
            self._lengths, self._reach = self._measured(self._inverse), self._measured(self._weighted)
            return
        pair = torch.stack([u, v]).to(self._vectors).T  # in this order of numbers MKL is up to five times as fast
        along_u, along_v = (self._vectors @ pair).double().unbind(1)
        self._lengths = (self._lengths + factor * along_u.square()).clamp_(min=0)
        self._reach = (self._reach + 2 * along_u * along_v).clamp_(min=0)

    def restrict(self, rows: Int[Tensor, " r"]) -> None:
        """Forget all candidates but these, which are numbered from 0 on."""
        self._vectors, self._lengths, self._reach = self._vectors[rows], self._lengths[rows], self._reach[rows]

    def _settle(self) -> None:
        """Bring both matrices up to date: the inverse by f u u^T, the weighted one by u v^T + v u^T, of each change."""
        us, factors, vs = self._pending
        self._inverse.addmm_((factors.unsqueeze(1) * us).T, us)
        self._weighted.addmm_(torch.cat([us, vs]).T, torch.cat([vs, us]))
        self._pending = (us[:0], factors[:0], vs[:0])


def fisher_picks(batch: FisherBatch, picks: int, oversampling: float) -> Int[Tensor, " k"]:
    """Pick greedily, more than wanted, and remove those that are missed least (the paper's algorithm 1).

    Args:
        batch: the candidates; afterwards it holds the picks and the surplus only.
        picks: how many to pick, at most all.
        oversampling: how many times as many are picked before the surplus is removed.

    Returns:
        The indices of the picks, in the order of picking; of equal candidates the first.
    """
    chosen: list[int] = []
    free = torch.ones_like(batch.added(), dtype=torch.bool)
    for _ in range(min(len(free), max(picks, round(oversampling * picks)))):
        best = int(batch.added().masked_fill(~free, -torch.inf).argmax())
        chosen.append(best)
        free[best] = False
        batch.change(best, 1)
    first = torch.tensor(chosen, dtype=torch.long, device=free.device)
    batch.restrict(first)
    kept = list(range(len(chosen)))
    while len(kept) > picks:
        least = int(batch.removed(torch.tensor(kept, device=free.device)).argmin())
        batch.change(kept.pop(least), -1)
    return first[kept]
