"""Noise stability: how predictions move under small noise in the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.geometry import greedy_k_center
from strategies.kernels.rows import row_means
from tasks.settings import Number, Whole
from tasks.training.learner import Learner


class NoiseStability(Strategy):
    """Picks by greedy k-center on how predictions move under noise in the weights (Li et al. 2024, algorithm 1).

    For each of several draws of noise the change of the image's probabilities is divided by their length; the changes under
    all draws are one vector. The first center is the origin, so that the first pick moves most and the others move in other
    directions. The noise on a weight tensor is Gaussian, of a fixed share of the tensor's length.

    With several posterior rows per image the probabilities are the mean over the rows, weighted by their weight; those of a
    joint's cells are pooled to 8 x 8 blocks, and the joints are kept apart.

    Differs from the paper in that on a frozen trunk only the weights behind it get noise: what it gives is stored.
    """

    name: ClassVar[str] = "noise-stability"
    paper: ClassVar[str] = "Li et al. 2024"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "weights, posteriors"
    cost: ClassVar[str] = "T forward passes + T K N C, T draws"

    draws: Whole = Field(default=30, ge=1, le=10_000)
    """Of noise (the authors' commands)."""
    scale: Number = Field(default=1e-3, gt=0, le=1)
    """Length of the noise, relative to that of the weights (authors' code)."""

    def select(self, ctx: Context) -> Selection:
        """Pick one by one the candidate farthest from the origin and all picks; the score is its distance."""
        generator = torch.Generator().manual_seed(int(ctx.rng.integers(2**63)))
        ctx = replace(ctx, candidates=ctx.rng.permutation(ctx.candidates))  # of equal candidates the first is picked
        learner = replace(ctx.learner, precision="fp32")  # bf16 rounds by more than the noise
        before = _predictions(learner, ctx)
        lengths = before.norm(dim=1, keepdim=True).clamp(min=torch.finfo(before.dtype).tiny)
        moves = [
            (_predictions(noisy, ctx) - before) / lengths
            for noisy in noisy_learners(learner, self.draws, self.scale, generator)
        ]
        with ctx.learner.clock.phase("pick"):
            points = torch.cat(moves, 1)
            return ctx.pick(*greedy_k_center(points, torch.zeros_like(points[:1]), ctx.budget))

    @classmethod
    def smoke(cls) -> NoiseStability:
        """Two draws."""
        return cls(draws=2)


def noisy_learners(learner: Learner, draws: int, scale: float, generator: torch.Generator) -> Iterator[Learner]:
    """The learner with noise in the weights, drawn anew each time; only the last of them is in memory."""
    for _ in range(draws):
        model = copy.deepcopy(learner.model)
        for module in model.modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, nn.Parameter):
                noise = torch.randn(weight.shape, generator=generator).to(weight)
                share = scale * weight.data.norm() / noise.norm().clamp(min=torch.finfo(noise.dtype).tiny)
                weight.data.add_(noise * share)
        yield replace(learner, model=model)


def _predictions(learner: Learner, ctx: Context) -> Float[Tensor, "n v"]:
    vectors = [row_means(posteriors) for posteriors in learner.posteriors(ctx.candidates)]
    return finite(torch.cat(vectors), "posteriors")
