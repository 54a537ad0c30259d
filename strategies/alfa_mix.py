"""ALFA-Mix: images whose predicted category changes when their features are mixed with those of labeled images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from strategies.base import Context, Kind, Selection, SelectionError, Strategy, finite
from strategies.kernels.clustering import k_means, nearest_to_centers
from strategies.kernels.mixing import (
    UNSTABLE_WEIGHT,
    Anchors,
    MixingEffect,
    changed_weight,
    concatenate,
    feature_chunks,
    flatten,
    merge_caps,
    symmetric_divergence,
    unflatten,
    unit_gradients,
)
from strategies.kernels.rows import descending, filled
from tasks.base import Features, Posteriors
from tasks.settings import Number, Rising, Whole
from tasks.training.learner import Learner

Cap = Annotated[Number, Field(gt=0, le=100)]
"""Of alpha; above 1, a move may be longer than the way to the anchor."""


class AlfaMix(Strategy):
    """Picks images whose category changes under feature mixing, one per k-means cluster (Parvaneh et al. 2022).

    Such images are called unstable here; they are the paper's candidates. The features z of an image move to
    (1 - alpha) z + alpha z*, where the anchor z* is the mean of the labeled images of a group; if a group has no labeled
    image, the mean of all labeled images is one more anchor. Alpha has a closed form (equation 6),
    epsilon |z* - z| / |g| times g / (z* - z), where g is the gradient of the loss under the model's own prediction. It
    maximizes the linearized loss among all moves of length at most epsilon |z* - z|, where epsilon = cap / sqrt(D) and
    D is the number of features of an image, over all tensors that the head reads.

    The move is then epsilon |z* - z| g / |g|: its direction does not depend on the anchor. An affine head never returns
    to a category that it has left along a ray, so it suffices to mix with the farthest anchor; with other heads, and where a
    row is the mean of pixels, as in segmentation, or of sigmoids, this is an approximation. An image without a gradient does not move. The gradient of the loss in the head's output is computed
    in float64: in float32, where the largest probability rounds to 1, its part p - 1 would be 0, and the direction wrong.

    Differs from the paper, with more than one posterior row per image, in that an image is unstable if one
    interpolation changes the category of rows of half the weight or more. Differs from the authors' code in that if
    fewer images are unstable than the budget, the remaining picks are those with the most weight that changes, and then
    random ones without replacement.
    Differs from the authors' code in that k-means makes one start of at most 20 iterations, with first centers among at most
    16,384 images.
    """

    name: ClassVar[str] = "alfa-mix"
    paper: ClassVar[str] = "Parvaneh et al. 2022"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "features, head, pseudo-targets, labeled groups, embeddings"
    cost: ClassVar[str] = "N D C + 20 N K D"

    alpha: Literal["closed form", "learned"] = "closed form"
    """How the interpolation factor is computed (section 3.1)."""
    spread: Literal["clustering", "norm", "kl", "uniform"] = "clustering"
    """Which of the unstable images are picked: those nearest to the centers of k-means, those with the shortest moves,
    those with the largest divergences, or random ones."""
    caps: Annotated[tuple[Cap, ...], Field(min_length=1, max_length=100), Rising] = (0.2, 0.4, 0.6, 0.8, 1.0)
    """Tried in this order until more images are unstable than the budget (authors' code)."""
    learning_rate: Number = Field(default=0.1, gt=0, le=1000)
    """Of Adam, for a learned alpha (authors' code)."""
    steps: Whole = Field(default=5, ge=1, le=10_000)
    """Of Adam, for a learned alpha (authors' code)."""
    loss_coefficient: Number = Field(default=1.0, ge=0, le=1e6)
    """Weight of the loss, which a learned alpha increases (authors' code)."""
    norm_coefficient: Number = Field(default=0.01, ge=0, le=1e6)
    """Weight of the norm of a learned alpha, which is kept small (authors' code)."""

    def select(self, ctx: Context) -> Selection:
        """Pick from the unstable images; if they are too few, continue with those of largest changed weight."""
        anchors = self._anchors(ctx)
        mix = self._closed_form if self.alpha == "closed form" else self._learned
        embeddings, effects = mix(ctx, anchors)
        effect = merge_caps(effects, ctx.budget)
        with ctx.learner.clock.phase("pick"):
            unstable = effect.unstable.nonzero().squeeze(1)
            picks = self._choose(ctx, unstable, embeddings, effect)
            return ctx.pick(filled(picks, descending(effect.changed_weight, ctx.rng), ctx.budget))

    def _choose(
        self, ctx: Context, unstable: Int[Tensor, " u"], embeddings: Float[Tensor, "n d"], effect: MixingEffect
    ) -> Int[Tensor, " k"]:
        """At most as many of the unstable images as the budget, as indices into the candidates."""
        if self.spread == "norm":
            unstable = unstable[descending(-effect.distance[unstable], ctx.rng)]
        elif self.spread == "kl":
            unstable = unstable[descending(effect.divergence[unstable], ctx.rng)]
        elif self.spread == "uniform":
            unstable = unstable[torch.from_numpy(ctx.rng.permutation(len(unstable))).to(unstable.device)]
        elif len(unstable) > ctx.budget:
            points = embeddings[unstable]
            points /= points.norm(dim=1, keepdim=True).clamp(min=1e-12)  # in place: a million of them are 2 GB
            unstable = unstable[nearest_to_centers(k_means(points, ctx.budget, ctx.rng))]
        return unstable[: ctx.budget]

    def _anchors(self, ctx: Context) -> Anchors:
        """The mean features of each group, and of all labeled images if a group is empty."""
        if len(ctx.labeled) == 0:
            msg = "feature mixing needs labeled images, and there are none"
            raise SelectionError(msg)
        groups = ctx.labeled_groups().to(ctx.learner.task.device)
        membership = torch.cat([groups, torch.ones_like(groups[:, :1])], 1).float()
        sums, start = torch.zeros(()), 0
        for _, outputs in ctx.learner.batches(ctx.labeled):
            for features in feature_chunks(outputs):
                points = flatten(features)
                sums = sums + membership[start : start + len(points)].T @ points
                start += len(points)
        counts = membership.sum(0)
        used = counts > 0
        used[-1] = not bool(used.all())
        return Anchors.of(finite((sums / counts.unsqueeze(1))[used], "features of labeled images"))

    def _closed_form(self, ctx: Context, anchors: Anchors) -> tuple[Tensor, Iterable[MixingEffect]]:
        """The candidates' embeddings, where they are clustered, and the effect of each cap, from one pass over the candidates."""
        embeddings: list[Tensor] = []
        effects: list[list[MixingEffect]] = [[] for _ in self.caps]
        for _, outputs in ctx.learner.batches(ctx.candidates):
            with torch.no_grad():
                if self.spread == "clustering":
                    embeddings.append(ctx.learner.task.embed(outputs))
                for features in feature_chunks(outputs):
                    for of_cap, effect in zip(effects, self._mix(ctx.learner, features, anchors), strict=True):
                        of_cap.append(effect)
        return _joined(embeddings), map(concatenate, effects)

    def _mix(self, learner: Learner, features: Features, anchors: Anchors) -> list[MixingEffect]:
        """The effect of each cap's move along the gradient."""
        points, head = flatten(features), learner.model.head
        raw = _head_output(learner, features, points)
        targets = learner.task.pseudo_targets(raw)
        gradient = _gradient(
            lambda at: learner.task.losses(in_double(_head_output(learner, features, at)), targets), points
        )
        direction = unit_gradients(gradient)
        before, reach = _posteriors(learner, raw), anchors.farthest_distances(points) / math.sqrt(points.shape[1])
        slope = direction @ head.weight.T if isinstance(head, nn.Linear) else None
        effects = []
        for cap in self.caps:
            step = (cap * reach).unsqueeze(1)
            moved = (
                raw + step * slope if slope is not None else _head_output(learner, features, points + step * direction)
            )
            effects.append(self._effect(before, learner.task.posteriors(moved), cap * reach))
        return effects

    def _learned(self, ctx: Context, anchors: Anchors) -> tuple[Tensor, Iterable[MixingEffect]]:
        """The candidates' embeddings, where they are clustered, and the effect of each cap, computed when it is read."""
        generator = torch.Generator(ctx.learner.task.device).manual_seed(int(ctx.rng.integers(2**63)))
        embeddings: list[Tensor] = []

        def effect_of(cap: float) -> MixingEffect:
            # One pass over the candidates per cap: the first cap nearly always suffices, and learning alpha costs
            # steps x groups passes of the head.
            effects, wanted = [], self.spread == "clustering" and cap == self.caps[0]
            for _, outputs in ctx.learner.batches(ctx.candidates):
                with torch.no_grad():
                    if wanted:
                        embeddings.append(ctx.learner.task.embed(outputs))
                    effects += [
                        self._mix_learned(cap, ctx.learner, features, anchors, generator)
                        for features in feature_chunks(outputs)
                    ]
            return concatenate(effects)

        first = effect_of(self.caps[0])
        return _joined(embeddings), chain([first], map(effect_of, self.caps[1:]))

    def _mix_learned(
        self, cap: float, learner: Learner, features: Features, anchors: Anchors, generator: torch.Generator
    ) -> MixingEffect:
        """The merged effect of mixing with every anchor, each with its own learned alpha."""
        points = flatten(features)
        raw = _head_output(learner, features, points)
        before, targets = _posteriors(learner, raw), learner.task.pseudo_targets(raw)
        effect = self._effect(before, before, points.new_zeros(len(points)))
        for offset in anchors.offsets:
            gap = anchors.center + offset - points

            def losses(alpha: Tensor, gap: Tensor = gap) -> Tensor:
                return learner.task.losses(_head_output(learner, features, points + alpha * gap), targets)

            start = torch.empty_like(points).normal_(cap / 2, cap / 2, generator=generator)
            move = finite(self.learned_alpha(losses, start, cap), "learned alpha") * gap
            after = learner.task.posteriors(_head_output(learner, features, points + move))
            effect = effect.merge(self._effect(before, after, move.norm(dim=1)))
        return effect

    def learned_alpha(
        self, losses: Callable[[Tensor], Tensor], start: Float[Tensor, "n d"], cap: float
    ) -> Float[Tensor, "n d"]:
        """Learn alpha in [0, cap] by Adam so that the loss of each image grows and the norm of alpha stays small.

        This is section 3.1 of the paper. Differs from the paper in that each element is bounded, not the norm of alpha;
        the authors' code does so.

        Args:
            losses: gives the loss of each image for an alpha (n, d).
            start: initial alpha, before clamping.
            cap: upper bound of every element.
        """
        alpha = start.clamp_(0, cap).requires_grad_()
        optimizer = torch.optim.Adam([alpha], self.learning_rate)
        for _ in range(self.steps):
            with torch.enable_grad():
                objective = self.norm_coefficient * alpha.norm(dim=1) - self.loss_coefficient * losses(alpha)
                (alpha.grad,) = torch.autograd.grad(objective.sum(), alpha)
            optimizer.step()
            alpha.data.clamp_(0, cap)
        return alpha.detach()

    def _effect(self, before: Posteriors, after: Posteriors, distance: Float[Tensor, " n"]) -> MixingEffect:
        changed = before.log_probs.argmax(2) != after.log_probs.argmax(2)
        weight = changed_weight(before, changed)
        by_divergence = self.spread == "kl"
        divergence = before.pooled(symmetric_divergence(before, after)) if by_divergence else torch.zeros_like(distance)
        return MixingEffect(weight, torch.where(weight >= UNSTABLE_WEIGHT, distance, torch.inf), divergence)


def _head_output(learner: Learner, like: Features, points: Float[Tensor, "n d"]) -> Any:
    """The head's output for flattened features; `like` gives the shapes that the head expects."""
    return learner.model.head(*unflatten(points, like))


def _joined(embeddings: list[Tensor]) -> Float[Tensor, "n d"]:
    """The embeddings of all batches; none where none were read."""
    return finite(torch.cat(embeddings), "embeddings") if embeddings else torch.zeros(0, 0)


def in_double(raw: Any) -> Any:
    """A head's output in float64."""
    return raw.double() if isinstance(raw, Tensor) else type(raw)(*(part.double() for part in raw))


def _posteriors(learner: Learner, raw: Any) -> Posteriors:
    posteriors = learner.task.posteriors(raw)
    finite(posteriors.log_probs.amax(2), "predictions")
    return posteriors


def _gradient(losses: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = at.detach().requires_grad_()
        return torch.autograd.grad(losses(leaf).sum(), leaf)[0]
